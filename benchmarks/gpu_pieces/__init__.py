"""The pieces of `gpu.py`: what is measured on a GPU, how it is run in parts, and where it runs."""
