"""STKD: distillation on mixed pairs, whose targets hold the likeness of instances."""
