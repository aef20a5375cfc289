"""HKD: holistic knowledge, of examples alone and of their places in a graph of those that look alike."""
