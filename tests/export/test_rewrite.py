"""Slopes and batch norms as depthwise convolutions: the same function, for every slope there can be."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

from export.rewrite import rewritten
from tests.export.small_graphs import graph


def run(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"normalised": x})[0]


def operations(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


@pytest.mark.parametrize(
    ("slopes", "nodes"),
    [([0.25, 0, 1, -0.5], ["Conv", "Relu", "Add"]), ([0.25, 1.5, 3, -2], ["Conv", "Relu", "Conv", "Add"])],
)
def test_every_slope_is_kept_and_one_above_1_takes_a_sign(slopes, nodes):
    slopes = np.array(slopes)
    model = graph(
        [helper.make_node("PRelu", ["normalised", "a"], ["raw"])], {"a": slopes.reshape(4, 1, 1)}, 4, [4, 8, 8]
    )
    x = np.random.default_rng(0).normal(0, 3, (3, 4, 8, 8)).astype(np.float32)
    changed = rewritten(model)
    assert operations(changed) == nodes
    by_definition = np.maximum(x, 0) + slopes.reshape(4, 1, 1) * np.minimum(x, 0)
    np.testing.assert_allclose(run(changed, x), by_definition, atol=1e-5)
    assert operations(model) == ["PRelu"]  # the original is left alone


def test_hard_swish_becomes_a_product_with_a_clipped_line():
    model = graph([helper.make_node("HardSwish", ["normalised"], ["raw"])], {}, 4, [4, 8, 8])
    x = np.random.default_rng(0).normal(0, 4, (3, 4, 8, 8)).astype(np.float32)
    changed = rewritten(model)
    assert operations(changed) == ["Conv", "Clip", "Mul"]
    np.testing.assert_allclose(run(changed, x), x * np.clip(x + 3, 0, 6) / 6, atol=1e-5)


def test_a_batch_norm_before_padding_becomes_scale_and_shift():
    rng = np.random.default_rng(1)
    weights = {
        "scale": rng.uniform(0.5, 2, 3),
        "shift": rng.normal(0, 1, 3),
        "mean": rng.normal(0, 1, 3),
        "variance": rng.uniform(0.1, 2, 3),
        "w": rng.normal(0, 1, (5, 3, 3, 3)),
    }
    model = graph(
        [
            helper.make_node(
                "BatchNormalization", ["normalised", *list(weights)[:4]], ["n"], epsilon=0.01, name="norm"
            ),
            helper.make_node("Conv", ["n", "w"], ["raw"], pads=[1, 1, 1, 1], name="conv"),
        ],
        weights,
        3,
        [5, 8, 8],
    )
    x = rng.normal(0, 1, (2, 3, 8, 8)).astype(np.float32)
    changed = rewritten(model)
    assert operations(changed) == ["Conv", "Conv"]
    np.testing.assert_allclose(run(changed, x), run(model, x), atol=1e-4)
