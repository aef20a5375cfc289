"""Ensembles and self-distillation on data with several views of each class, and on real images."""
