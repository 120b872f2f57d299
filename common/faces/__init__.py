"""From faces on disk to the pixels of a view, the same bytes for the teacher and, later, for every student.

faces = open_source("data/faces_emore")      RecordIO or folders; labels, names, encoded pictures
views = Views("flip", seed=0)                pure functions of (seed, sample, view)
shown_face(faces, views, 17, view=1, rgb=faces.rgb(17))
"""

from common.faces.epochs import epoch_order
from common.faces.evaluation_sets import write_arrow, write_bin, write_protocol
from common.faces.fitting import resized
from common.faces.listed import write_list
from common.faces.philox import four_words, signed_words, words
from common.faces.pixels import decode_rgb, decoder_version, encode_jpeg, encode_png, refuse_mixed_sizes
from common.faces.record_chunks import CHUNK, MAGIC
from common.faces.recordio import Records, RecordWriter
from common.faces.recordio_dataset import write_recordio_dataset
from common.faces.showing import shown_face
from common.faces.source import ALIGNER, NAMES, FaceSource, aligner_text, read_aligner
from common.faces.sources import open_faces, open_source
from common.faces.subset import SELECTION, SubsetSource
from common.faces.views import Views, at_resolution, pixel_digest, view_numbers

__all__ = [
    "ALIGNER",
    "CHUNK",
    "MAGIC",
    "NAMES",
    "SELECTION",
    "FaceSource",
    "RecordWriter",
    "Records",
    "SubsetSource",
    "Views",
    "aligner_text",
    "at_resolution",
    "decode_rgb",
    "decoder_version",
    "encode_jpeg",
    "encode_png",
    "epoch_order",
    "four_words",
    "open_faces",
    "open_source",
    "pixel_digest",
    "read_aligner",
    "refuse_mixed_sizes",
    "resized",
    "shown_face",
    "signed_words",
    "view_numbers",
    "words",
    "write_arrow",
    "write_bin",
    "write_list",
    "write_protocol",
    "write_recordio_dataset",
]
