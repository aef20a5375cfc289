"""Features, logits and gradients: one quadratic loss, for small students and for networks that get more classes."""
