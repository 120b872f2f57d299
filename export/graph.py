"""The bare network of a face model as an ONNX graph: normalised faces in, embeddings out, the batch free.

PyTorch weights go through torch's exporter, a published ONNX file is brought to the same operator set. Batch norms
behind a convolution or a linear layer are folded into it on the way.
"""

import logging
import warnings

import onnx
import onnx_ir
import onnxscript.optimizer
import onnxscript.rewriter
import torch
from onnx import version_converter
from onnx_ir.passes.common import TopologicalSortPass

from common.errors import ModelError
from common.models import FaceModel, TorchNetwork, free_batch, read_graph, read_signature

OPSET = 18
FACES, EMBEDDING = "normalised", "raw"


def graph_of(model: FaceModel) -> onnx.ModelProto:
    """Float32 (B,3,H,W) in the network's channel order and scaling -> (B,D), not normalised.

    Raises:
        ModelError: the weights compute in reduced precision, or are an ONNX file that takes (B,H,W,3) or cannot be
            brought to operator set 18.
    """
    graph = _from_torch(model.network, model.size) if isinstance(model.network, TorchNetwork) else _from_file(model)
    for node in graph.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]  # stack traces with this machine's paths
    del graph.graph.metadata_props[:]
    del graph.graph.value_info[:]
    del graph.metadata_props[:]
    return graph


def in_order(graph: onnx.ModelProto) -> onnx.ModelProto:
    """The graph with its nodes where ONNX wants them; onnxruntime's tools append new ones at the end."""
    model = onnx_ir.from_proto(graph)
    TopologicalSortPass()(model)
    ordered: onnx.ModelProto = onnx_ir.to_proto(model)
    return ordered


def _from_torch(network: TorchNetwork, size: tuple[int, int]) -> onnx.ModelProto:
    if network.dtype != torch.float32:
        raise ModelError("precision: a network is exported from its float32 weights; leave it out")
    faces = torch.zeros(2, 3, *size, device=network.device)  # a batch of one would be taken for a constant
    batch = {0: torch.export.Dim("batch")}
    exporter = logging.getLogger("torch.onnx")
    level = exporter.level
    exporter.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                network.module,
                (faces,),
                dynamo=True,
                opset_version=OPSET,
                input_names=[FACES],
                output_names=[EMBEDDING],
                dynamic_shapes=(batch,),
                verbose=False,
            )
    finally:
        exporter.setLevel(level)
    assert program is not None
    exported: onnx.ModelProto = program.model_proto
    return exported


def _from_file(model: FaceModel) -> onnx.ModelProto:
    path = model.weights.path
    graph = free_batch(read_graph(path))
    signature = read_signature(graph, path)
    if signature.layout != "NCHW":
        raise ModelError(f"{path}: takes {signature.layout} faces; only a network that takes NCHW is exported anew")
    del graph.graph.output[:]
    output = onnx.helper.make_tensor_value_info(signature.output, onnx.TensorProto.FLOAT, ["batch", model.dim])
    graph.graph.output.append(output)
    try:
        graph = version_converter.convert_version(graph, OPSET)
    except Exception as error:  # the converter's C++ raises RuntimeError and several of onnx's own types
        reason = str(error).strip().splitlines()[0]
        raise ModelError(f"{path}: cannot be brought to operator set {OPSET} ({reason})") from error
    graph = onnxscript.rewriter.rewrite(onnxscript.optimizer.optimize(graph))
    renamed = {signature.input: FACES, signature.output: EMBEDDING}
    for node in graph.graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]
        node.output[:] = [renamed.get(name, name) for name in node.output]
    graph.graph.input[0].name, graph.graph.output[0].name = FACES, EMBEDDING
    return graph
