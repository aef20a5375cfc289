"""Data: readers, splits, and batches of uint8 images."""

from rolewise.data import readers  # noqa: F401  (they fill the registry)
from rolewise.data.arguments import argument_faults, reader_settings
from rolewise.data.arrays import from_arrays
from rolewise.data.box_targets import box_list, joined_boxes, packed_boxes
from rolewise.data.collate_boxes import collate_boxes
from rolewise.data.data_checks import ChecksumWarning, DataWarning, MissingDataError
from rolewise.data.datasets import check_raw_data, read, read_with
from rolewise.data.dirichlet import dirichlet_parts
from rolewise.data.division import Division, divide
from rolewise.data.download import data_root
from rolewise.data.drawn_shapes import drawn_shapes
from rolewise.data.fingerprint import files_state, fingerprint
from rolewise.data.image_sources import ImageData, Source, StreamedArray, StreamedFiles
from rolewise.data.image_statistics import channel_statistics
from rolewise.data.packed_images import PackedImages
from rolewise.data.reader_registry import READERS, RawData
from rolewise.data.source_batches import ImageBatch, batches, shuffled
from rolewise.data.splits import Opened, SealedTest, Splits, split, stratified_order, stratified_subset
from rolewise.data.text_source import TextData

__all__ = [
    "READERS",
    "ChecksumWarning",
    "DataWarning",
    "Division",
    "ImageBatch",
    "ImageData",
    "MissingDataError",
    "Opened",
    "PackedImages",
    "RawData",
    "SealedTest",
    "Source",
    "Splits",
    "StreamedArray",
    "StreamedFiles",
    "TextData",
    "argument_faults",
    "batches",
    "box_list",
    "channel_statistics",
    "check_raw_data",
    "collate_boxes",
    "data_root",
    "dirichlet_parts",
    "divide",
    "drawn_shapes",
    "files_state",
    "fingerprint",
    "from_arrays",
    "joined_boxes",
    "packed_boxes",
    "read",
    "read_with",
    "reader_settings",
    "shuffled",
    "split",
    "stratified_order",
    "stratified_subset",
]
