"""STKD: distillation on mixed pairs, whose targets tell of the likeness of instances."""
