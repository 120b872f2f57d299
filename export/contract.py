"""What an exported graph takes and gives, as nodes around the bare network.

The file takes RGB, whatever its network was trained on, and scales by itself: uint8 (B,H,W,3) as decoders give it, or
float32 (B,3,H,W) from 0 to 255. It gives the embedding as the network leaves it, or of unit length; of the face alone,
or the sum over the face and its mirror image, as evaluation has it.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from common.models import Preset
from export.graph import EMBEDDING, FACES, OPSET

Pixels = Literal["uint8", "float32"]
INPUT, OUTPUT, BATCH = "faces", "embedding", "batch"
OWN = "contract/"
"""Beginning of the names of the nodes that are added here."""
SHORTEST = 1e-12
"""A shorter embedding is not scaled to length one."""
_BACKWARDS = np.iinfo(np.int64).min


@dataclass(frozen=True)
class Form:
    """`pixels`: what the graph takes, see above. `flip`: summed over the mirror image. `unit`: of length one."""

    pixels: Pixels = "uint8"
    flip: bool = False
    unit: bool = False


def with_contract(bare: onnx.ModelProto, contract: Preset, form: Form) -> onnx.ModelProto:
    """A copy of a graph from `graph_of` that takes `faces` and gives `embedding` (B,D) as `form` says.

    contract: what the bare network wants to see, every field set.
    """
    assert contract.size is not None
    model = onnx.ModelProto()
    model.CopyFrom(bare)
    graph = model.graph
    nodes, weights = _before(contract, form)
    after, more = _after(contract, form)
    body = list(graph.node)
    del graph.node[:]
    graph.node.extend([*nodes, *body, *after])
    graph.initializer.extend([*weights, *more])
    height, width = contract.size
    shape: list[str | int | None] = [BATCH, 3, height, width]
    kind = TensorProto.FLOAT
    if form.pixels == "uint8":
        kind, shape = TensorProto.UINT8, [BATCH, height, width, 3]
    del graph.input[:], graph.output[:]
    del graph.value_info[:]  # of the bare batch, which flip doubles
    graph.input.append(helper.make_tensor_value_info(INPUT, kind, shape))
    output = helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [BATCH, contract.embedding_size])
    graph.output.append(output)
    graph.name, model.producer_name, model.producer_version = "face", "face-teacher-cache", ""
    model.ir_version = 10  # what opset 18 needs and runtimes of the last years read
    assert any(entry.version == OPSET for entry in model.opset_import if not entry.domain)
    onnx.checker.check_model(model, full_check=True)
    return model


Constant = np.ndarray | np.generic
Nodes = tuple[list[onnx.NodeProto], list[onnx.TensorProto]]


class _Chain:
    """Nodes one after another, each taking what the last one gave."""

    def __init__(self, first: str) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.at = first

    def add(self, operation: str, *constants: Constant, also: tuple[str, ...] = (), **attributes: Any) -> str:
        name = f"{OWN}{len(self.nodes)}.{operation.lower()}.{self.at.removeprefix(OWN)}"
        names = [f"{name}.{number}" for number in range(len(constants))]
        self.weights += [
            numpy_helper.from_array(np.asarray(value), of) for value, of in zip(constants, names, strict=True)
        ]
        self.nodes.append(helper.make_node(operation, [self.at, *also, *names], [name], name=name, **attributes))
        self.at = name
        return name

    def ending_in(self, output: str) -> Nodes:
        self.nodes.append(helper.make_node("Identity", [self.at], [output], name=f"{OWN}{output}"))
        return self.nodes, self.weights


def _before(contract: Preset, form: Form) -> Nodes:
    chain = _Chain(INPUT)
    if form.pixels == "uint8":
        chain.add("Transpose", perm=[0, 3, 1, 2])  # bytes are moved, a quarter of what floats would be
        chain.add("Cast", to=TensorProto.FLOAT)
    if (contract.mean, contract.std) != (0, 1):
        chain.add("Sub", np.float32(contract.mean))
        chain.add("Div", np.float32(contract.std))
    if contract.channel_order == "bgr":
        chain.add("Gather", np.array([2, 1, 0]), axis=1)
    if form.flip:
        faces = chain.at
        ends = (np.array([value]) for value in (-1, _BACKWARDS, 3, -1))
        mirrored = chain.add("Slice", *ends)
        chain.at = faces
        chain.add("Concat", also=(mirrored,), axis=0)
    return chain.ending_in(FACES)


def _after(contract: Preset, form: Form) -> Nodes:
    chain = _Chain(EMBEDDING)
    if form.flip:
        chain.add("Reshape", np.array([2, -1, contract.embedding_size]))
        chain.add("ReduceSum", np.array([0]), keepdims=0)
    if form.unit:
        rows = chain.at
        chain.add("ReduceL2", np.array([1]), keepdims=1)
        length = chain.add("Max", np.float32(SHORTEST))
        chain.at = rows
        chain.add("Div", also=(length,))
    return chain.ending_in(OUTPUT)
