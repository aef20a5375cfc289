"""Readers, one file each; importing them fills the registry."""

from rolewise.data.readers import cifar, digit_pairs, digits, image_folder, image_list, image_table, mnist, npy, npz

__all__ = ["cifar", "digit_pairs", "digits", "image_folder", "image_list", "image_table", "mnist", "npy", "npz"]
