"""Models of one table have distinct, readable names, whatever their files are called."""

import pytest

from evaluate.experiment import distinct_names


class Model:
    def __init__(self, name, weights="00", **fields):
        self.account = {"name": name, "weights_sha256": weights * 32, **fields}

    def describe(self):
        return self.account


@pytest.mark.parametrize(
    ("models", "names"),
    [
        ([Model("r50.onnx"), Model("ir101", "01")], ["r50", "ir101"]),
        ([Model("owner/model-v1.5")], ["owner/model-v1.5"]),
        ([Model("model.pt", "aa"), Model("model.pt", "bb")], ["model aaaaaaaa", "model bbbbbbbb"]),
        ([Model("ir50", precision="float32"), Model("ir50", precision="bfloat16")],
         ["ir50 precision float32", "ir50 precision bfloat16"]),
        ([Model("ir50"), Model("owner/ir50")], ["ir50"]),
    ],
)  # fmt: skip
def test_models_are_told_apart_by_what_differs_and_equal_ones_are_one(models, names):
    found = distinct_names(models)
    assert list(found) == names
    assert [found[name] for name in names] == models[: len(names)]
