"""Readers, one file each; importing them fills the registry."""

from rolewise.data.readers import cifar, digits, image_folder, mnist, npy, npz

__all__ = ["cifar", "digits", "image_folder", "mnist", "npy", "npz"]
