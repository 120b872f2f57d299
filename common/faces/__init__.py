"""Faces and the views of them: where they come from, how they are decoded, and what a student gets to see."""

from common.faces.fitting import Fit, resized
from common.faces.philox import four_words, words
from common.faces.pixels import decode_rgb, decoder_version, encode_jpeg, refuse_mixed_sizes
from common.faces.recordio import CHUNK, MAGIC, Records, RecordWriter
from common.faces.recordio_dataset import write_recordio_dataset
from common.faces.sources import FaceSource, open_source
from common.faces.subset import SELECTION, SubsetSource
from common.faces.views import Views, epoch_order, pixel_digest, view_numbers

__all__ = [
    "CHUNK",
    "MAGIC",
    "SELECTION",
    "FaceSource",
    "Fit",
    "RecordWriter",
    "Records",
    "SubsetSource",
    "Views",
    "decode_rgb",
    "decoder_version",
    "encode_jpeg",
    "epoch_order",
    "four_words",
    "open_source",
    "pixel_digest",
    "refuse_mixed_sizes",
    "resized",
    "view_numbers",
    "words",
    "write_recordio_dataset",
]
