"""HKD: holistic knowledge, of single examples and of their neighbourhoods in the batch."""
