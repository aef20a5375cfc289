"""Descriptions of the settings of data sets, for the reference of a config's keys."""

from __future__ import annotations

_PICTURES = {
    "size": "height and width that every image is brought to, in pixels; one number for both.",
    "resize": "way to that size: crop covers it and cuts the edges, pad fits within it on the background, squash "
    "scales both sides apart.",
    "crop_ratio": "fraction of the largest crop's sides that is kept: 0.875 is a resize to 256 pixels and a crop of "
    "the middle 224.",
    "train_crop_ratio": "crop_ratio of training images, and of validation images drawn from them; null for crop_ratio.",
    "resampling": "code that interpolates: pillow, or torch, which takes less time and gives levels that "
    "differ by 2 of 255 at the most within a crop.",
    "orientation": "exif turns a picture as its EXIF entry orients it, stored leaves its pixels as they are.",
    "grayscale": "one channel instead of three.",
    "background": "grey level or colour below what is transparent, and around a padded picture.",
    "faulty": "a file that cannot be read: error ends the reading, skip leaves it out with a warning.",
}
_TARGETS = {
    "classes": "names of the classes in the order of their numbers; null for those of the data.",
    "targets": "kind of targets: classes, labels of which each is there or not, numbers, masks or boxes.",
    "unlabelled": "training pictures have no classes, and only methods that read no labels train on them.",
    "label": "column or key of an image's class.",
}
_MASKS = {
    "ignore": "number of pixels in mask files that do not count; null where all count.",
    "values": "number of each class in mask files, in the order of the classes; null for 0, 1, 2 and so on.",
    "binary": "every number above 0 is the second of two classes.",
    "outlines": "beside binary: the outlines of objects, a pixel wide, are a third class.",
    "mask_suffix": "text between an image's name and the ending in its mask's name.",
}
_BOXES = {
    "annotations": "JSON file of the images' boxes, in COCO's form.",
    "validation_annotations": "JSON file of the validation images' boxes; null where there are none.",
    "test_annotations": "JSON file of the test images' boxes; null where there are none.",
    "difficult": "objects that are marked as difficult: ignore neither learns nor counts them, learn does both.",
    "outside": "a box beyond its image's edge: error ends the reading, cut cuts it there.",
    "pixels": "corners in the files are a box's first and last pixel, counted from 1, as Pascal VOC's own; else edges.",
}
_PLACES = {
    "folder": "folder of the images below data.root; null for where that data set usually is.",
    "root": "folder below data.root that paths in the list begin from; null for the list's own.",
    "file": "name of the file below data.root.",
    "train": "name of the training part: a folder, a split or a list of the data set; null finds it by its name.",
    "test": "name of the test part: a folder, a file, a split or a list of the data set; null finds it by its name, or "
    "leaves it out.",
    "images": "name of the folder or the file of the images.",
    "masks": "name of the folder of their masks.",
    "validation": "name of the part of the data set that validates; null where validation images are drawn.",
    "validation_images": "name of the folder of the validation images; null where they are drawn.",
    "test_images": "name of the folder of the test images; null where there are none.",
    "validation_masks": "name of the folder of the validation images' masks; null where there are none.",
    "test_masks": "name of the folder of the test images' masks; null where there are none.",
    "image": "column or key of an image's path, or of images themselves.",
    "labels": "name of the file of the labels.",
    "names": "names in the file of arrays that it calls otherwise than Rolewise does.",
}
_WRITTEN = {
    "path": "folder below data.root that the library datasets wrote or can load, or a data set of the hub.",
    "subset": "name of the hub data set's configuration; null for its only one.",
    "tokenizer": "tokenizer of both roles, or of each.",
    "columns": "names of the columns of a file without a line of headings; null where it has one.",
    "text": "column of the text.",
    "pair": "column of the second text of a pair; null where texts are single.",
    "separator": "text between the labels in one cell.",
    "length": "tokens after which a text is cut.",
    "padding": "longest brings the texts of a batch to its longest one, by_length also puts texts of similar lengths "
    "into a batch while it trains, fixed brings all of them to length.",
}
#: What a setting means, by its name, in every reader whose docstring has no entry of its own for it.
ARGUMENT_TEXTS = {**_PLACES, **_PICTURES, **_TARGETS, **_MASKS, **_BOXES, **_WRITTEN}
