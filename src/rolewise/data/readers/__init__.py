"""Readers, one file each; importing them fills the registry."""

from rolewise.data.readers import (
    camvid,
    cifar,
    coco_detection,
    digit_pairs,
    digits,
    image_folder,
    image_list,
    image_masks,
    image_table,
    mnist,
    npy,
    npz,
    text_dataset,
    text_file,
    voc_detection,
    voc_segmentation,
)

__all__ = [
    "camvid",
    "cifar",
    "coco_detection",
    "digit_pairs",
    "digits",
    "image_folder",
    "image_list",
    "image_masks",
    "image_table",
    "mnist",
    "npy",
    "npz",
    "text_dataset",
    "text_file",
    "voc_detection",
    "voc_segmentation",
]
