"""Data: readers, splits, and batches of uint8 images."""

from rolewise.data import folder  # noqa: F401  (it fills the registry)
from rolewise.data.download import ChecksumWarning, data_root
from rolewise.data.images import ImageData, Source, StreamedArray, StreamedFiles
from rolewise.data.loading import Batch, batches, shuffled
from rolewise.data.readers import READERS, RawData, from_arrays, read, read_with
from rolewise.data.splits import Opened, SealedTest, Splits, split, stratified_order, stratified_subset

__all__ = [
    "READERS",
    "Batch",
    "ChecksumWarning",
    "ImageData",
    "Opened",
    "RawData",
    "SealedTest",
    "Source",
    "Splits",
    "StreamedArray",
    "StreamedFiles",
    "batches",
    "data_root",
    "from_arrays",
    "read",
    "read_with",
    "shuffled",
    "split",
    "stratified_order",
    "stratified_subset",
]
