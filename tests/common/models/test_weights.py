"""Every layout that circulates loads strictly; everything else is refused by name; nothing in a file runs."""

import pickle
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from common.backbones import build_backbone
from common.config import ModelConfig
from common.errors import DataError, ModelError
from common.models.face_model import open_model
from common.models.presets import Preset
from common.models.weights import convert_checkpoint, load_weights, save_weights
from tests.common.backbones.golden_backbones import fill
from tests.common.models.weight_layouts import HEAD, LAYOUTS, prefixed, write


@pytest.fixture(scope="module")
def state():
    """State of a small filled network with 8 dimensions."""
    return fill(small()).state_dict()


@pytest.fixture(scope="module")
def ir_state():
    """State of a filled IR-18 with 8 dimensions: the family whose channel order circulates both ways."""
    return fill(build_backbone("ir_18", 8)).state_dict()


def small() -> nn.Module:
    return build_backbone("mobilefacenet_0.5", 8)


@pytest.mark.parametrize("file", LAYOUTS)
def test_every_circulating_layout_fills_the_module(tmp_path, state, file):
    path = write(tmp_path / file, LAYOUTS[file](state))
    module = small()
    loaded = load_weights(module, path)
    assert loaded.tensors == len(state)
    assert loaded.set_aside == (sorted(HEAD) if file == "adaface.ckpt" else [])
    tolerance = 1e-3 if "half" in file else 0
    for key, value in module.state_dict().items():
        assert value.dtype == state[key].dtype
        torch.testing.assert_close(value, state[key], rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda s: s.pop("conv_34.project.bn.bias"), "1 missing: conv_34.project.bn.bias"),
        (lambda s: s.update({"conv_99.extra": torch.zeros(1)}), "1 unexpected: conv_99.extra"),
        (lambda s: s.update({"net.conv1.bn.bias": s["conv1.bn.bias"]}), "1 unexpected: net.conv1"),
        (
            lambda s: s.update({"output_layer.linear.weight": torch.zeros(9)}),
            r"1 of another shape: output_layer.linear.weight \(9,\) instead of \(8, 256\)",
        ),
        (
            lambda s: s.update({"output_layer.bn.running_mean": torch.full((8,), torch.nan)}),
            "output_layer.bn.running_mean has values",
        ),
        (lambda s: [s.pop(k) for k in list(s)[:20]], r"20 missing: conv1.conv.weight, .* and 14 more"),
    ],
)
def test_one_wrong_key_is_refused_and_named_and_the_module_left_alone(tmp_path, state, change, says):
    changed = dict(state)
    change(changed)
    module = small()
    before = {key: value.clone() for key, value in module.state_dict().items()}
    with pytest.raises(ModelError, match=says):
        load_weights(module, write(tmp_path / "w.pt", changed))
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())


def test_weights_of_another_width_are_refused(tmp_path, state):
    with pytest.raises(ModelError, match=r"of another shape: conv1\.conv\.weight"):
        load_weights(build_backbone("mobilefacenet", 8), write(tmp_path / "w.pt", dict(state)))


class Attack:
    """Unpickling this creates a file."""

    def __init__(self, target: Path):
        self.target = target

    def __reduce__(self):
        return Path.touch, (self.target,)


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".ckpt"])
def test_a_pickle_that_would_run_code_is_refused_before_it_does(tmp_path, state, suffix):
    path = tmp_path / f"hostile{suffix}"
    torch.save({"state_dict": dict(state), "callback": Attack(tmp_path / "owned")}, path)
    with pytest.raises(DataError, match=r"hostile.*refused; it holds objects other than tensors"):
        load_weights(small(), path)
    plain = tmp_path / f"plain{suffix}"
    plain.write_bytes(pickle.dumps(Attack(tmp_path / "owned")))
    with pytest.raises(DataError, match="refused"):
        load_weights(small(), plain)
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("name", ["ModelCheckpoint", "AttributeDict"])
def test_objects_lightning_leaves_in_a_checkpoint_are_passed_over(tmp_path, state, monkeypatch, name):
    module_name = {
        "ModelCheckpoint": "pytorch_lightning.callbacks.model_checkpoint",
        "AttributeDict": "pytorch_lightning.utilities.parsing",
    }[name]
    parts = module_name.split(".")
    for depth in range(1, len(parts) + 1):
        monkeypatch.setitem(sys.modules, ".".join(parts[:depth]), ModuleType(".".join(parts[:depth])))
    kind = type(name, (dict,) if name == "AttributeDict" else (), {"__module__": module_name})
    setattr(sys.modules[module_name], name, kind)
    left = kind()
    if name == "AttributeDict":
        left["arch"] = "ir_18"
    else:
        left.monitor = "val_acc"
    content = {"state_dict": {**prefixed(state, "model."), **HEAD}, "callbacks": {kind: {"best": 1.0}}, "hparams": left}
    path = write(tmp_path / "lightning.ckpt", content)
    monkeypatch.undo()
    assert load_weights(small(), path).tensors == len(state)


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("w.pt", b"", "not a readable PyTorch checkpoint"),
        ("w.pt", b"PK\x03\x04 cut off", "not a readable PyTorch checkpoint"),
        ("w.safetensors", b"\xff" * 64, "not a readable safetensors file"),
        ("w.safetensors", b"", "not a readable safetensors file"),
        ("w.bin", b"weights", "weights are .pt, .pth, .ckpt or .safetensors, not .bin"),
    ],
)
def test_damaged_and_foreign_files_are_named(tmp_path, file, content, says):
    (tmp_path / file).write_bytes(content)
    with pytest.raises(DataError, match=f"{file}: .*{says}"):
        load_weights(build_backbone("mobilefacenet", 8), tmp_path / file)


def test_a_checkpoint_without_weights_and_one_with_two_sets_are_refused(tmp_path, state):
    with pytest.raises(DataError, match="no state dict in it"):
        load_weights(small(), write(tmp_path / "a.pt", {"epoch": 3}))
    with pytest.raises(DataError, match="several sets of weights"):
        load_weights(small(), write(tmp_path / "b.pt", {"model": state, "state_dict": dict(state)}))
    with pytest.raises(DataError, match="there is no such file"):
        load_weights(small(), tmp_path / "c.pt")


def test_conversion_keeps_the_digest_of_its_source_and_no_path(tmp_path, ir_state):
    source = write(tmp_path / "adaface.ckpt", LAYOUTS["adaface.ckpt"](ir_state))
    convert_checkpoint(source, tmp_path / "ours.safetensors", Preset())
    loaded = load_weights(build_backbone("ir_18", 8), tmp_path / "ours.safetensors")
    assert loaded.metadata["source_sha256"] == load_weights(build_backbone("ir_18", 8), source).sha256
    assert str(tmp_path) not in str(loaded.metadata)


def test_a_description_beside_cvlface_weights_decides_the_channel_order(tmp_path, ir_state):
    (tmp_path / "pretrained_model").mkdir()
    write(tmp_path / "pretrained_model" / "model.pt", prefixed(ir_state, "net."))
    (tmp_path / "pretrained_model" / "model.yaml").write_text("name: ir\ncolor_space: 'BGR'\n")
    assert open_model(ModelConfig(weights="."), tmp_path).describe()["channel_order"] == "bgr"


def test_saved_weights_read_back_bit_for_bit(tmp_path, state):
    module = small()
    module.load_state_dict(state)
    save_weights(module, tmp_path / "w.safetensors", {"architecture": "mobilefacenet_0.5", "epoch": 7})
    read = load_file(tmp_path / "w.safetensors")
    assert read.keys() == state.keys()
    assert all(torch.equal(read[key], value) for key, value in state.items())
    assert [path.name for path in tmp_path.iterdir()] == ["w.safetensors"]
    with pytest.raises(ModelError, match="safetensors only"):
        save_weights(module, tmp_path / "w.pt", {})
