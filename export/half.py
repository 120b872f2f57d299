"""Weights and arithmetic in float16, input contract and lengths of embeddings in float32.

Half the size of a file; faster where the runtime has float16 kernels (GPUs, phones), slower on CPUs without. Only the
bare network is halved: (x - mean) / std would lose a bit of the pixels, and the square of an embedding's length passes
float16's 65,504 from a length of 256 on.
"""

import warnings

import onnx
from onnxruntime.transformers.float16 import convert_float_to_float16

from export.graph import in_order


def halved(bare: onnx.ModelProto) -> onnx.ModelProto:
    """A float16 copy of a graph from `graph_of`; what it takes and gives stays float32."""
    copy = onnx.ModelProto()
    copy.CopyFrom(bare)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one for every weight below float16's smallest number
        return in_order(convert_float_to_float16(copy, keep_io_types=True))
