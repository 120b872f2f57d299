"""The layers of a graph as the search knows them: a convolution or product, and what follows until the next one."""

import onnx

from export.contract import OWN
from export.rewrite import AFFINE, SIGN, SLOPE

Layer = tuple[str, ...]
"""Names of the nodes of a layer, the weighted one first."""


def layers_of(graph: onnx.ModelProto) -> list[Layer]:
    """Layers in the order of the graph, contract and nodes before the first convolution left out."""
    layers: list[list[str]] = []
    for node in graph.graph.node:
        if node.name.startswith(OWN):
            continue
        weighted = node.op_type in ("Conv", "Gemm", "MatMul") and not node.name.endswith((SLOPE, SIGN, AFFINE))
        if weighted:
            layers.append([])
        if layers:
            layers[-1].append(node.name)
    return [tuple(layer) for layer in layers]
