"""Backbones against the outputs of the implementations their checkpoints come from.

Golden numbers: public reference code run on weights that `golden_backbones` recomputes from the keys alone.
"""

import json

import numpy as np
import pytest
import torch

from common.backbones import backbone_names, backbone_size, build_backbone
from common.backbones.deduce import deduce_backbone
from common.errors import ModelError
from tests.common.backbones.golden_backbones import fill

REFERENCES = {
    "cvlface_ir18": "ir_18",
    "cvlface_ir50": "ir_50",
    "cvlface_ir101": "ir_101",
    "adaface_ir18": "ir_18",
    "adaface_ir34": "ir_34",
    "adaface_ir50": "ir_50",
    "adaface_ir101": "ir_101",
    "iresnet18": "iresnet18",
    "iresnet50": "iresnet50",
    "iresnet100": "iresnet100",
    "mobilefacenet_gdc": "mobilefacenet",
    "mobilefacenet_gnap": "mobilefacenet_gnap",
    "insightface_mbf": "mbf",
    "sphere20": "sphere20",
}
QUICK = {"cvlface_ir18", "iresnet18", "mobilefacenet_gdc", "mobilefacenet_gnap", "insightface_mbf", "sphere20"}
TOLERANCE = 1e-4
"""Largest difference relative to the embedding's norm."""


@pytest.fixture(scope="module")
def keys(golden):
    """Reference network -> ordered (key, shape) of its state; the file names a twin where two have the same."""
    listed = json.loads((golden / "backbones" / "keys.json").read_text())
    return {name: listed[entry] if isinstance(entry, str) else entry for name, entry in listed.items()}


def state_of(name: str, embedding_size: int = 512) -> list[list]:
    with torch.device("meta"):
        module = build_backbone(name, embedding_size)
    return [[key, list(value.shape)] for key, value in module.state_dict().items()]


@pytest.mark.parametrize(("reference", "name"), REFERENCES.items())
def test_keys_and_parameter_counts_are_the_references(golden, keys, reference, name):
    assert state_of(name) == keys[reference]
    with torch.device("meta"):
        parameters = list(build_backbone(name).parameters())
    index = json.loads((golden / "backbones" / "index.json").read_text())[reference]
    assert sum(p.numel() for p in parameters) == index["n_params"]
    assert sum(p.numel() for p in parameters if p.requires_grad) == index["n_params_requires_grad"]


def test_squeeze_and_excitation_adds_its_keys_and_nothing_else(keys):
    assert state_of("iresnet50_se", 256) == keys["iresnet50_se"]


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        pytest.param(reference, name, marks=() if reference in QUICK else pytest.mark.slow)
        for reference, name in REFERENCES.items()
    ],
)
def test_embeddings_are_the_references(golden, reference, name):
    numbers = np.load(golden / "backbones" / f"{reference}.npz")
    want, single = numbers["embedding"], numbers["embedding_single"]
    if "norm" in numbers:  # AdaFace's own module returns unit rows and their norms
        want, single = want * numbers["norm"], None
    images = torch.from_numpy(np.load(golden / "backbones" / "input.npz")["images"])
    height, width = backbone_size(name)
    left = (112 - width) // 2
    images = images[:, :, :height, left : left + width]
    module = fill(build_backbone(name))
    with torch.inference_mode():
        got = module(images).numpy()
        alone = module(images[:1]).numpy()
    norm = np.linalg.norm(want, axis=1).min()
    assert np.abs(got - want).max() <= TOLERANCE * norm
    if single is not None:
        assert np.abs(alone - single[:1]).max() <= TOLERANCE * norm


def test_gnap_can_be_made_independent_of_its_batch_and_then_gives_what_it_gives_alone(golden):
    images = torch.from_numpy(np.load(golden / "backbones" / "input.npz")["images"])
    want = np.load(golden / "backbones" / "mobilefacenet_gnap.npz")["embedding_single"]
    module = fill(build_backbone("mobilefacenet_gnap"))
    module.output_layer.per_image = True
    with torch.inference_mode():
        got = module(images).numpy()
    assert np.abs(got - want).max() <= TOLERANCE * np.linalg.norm(want, axis=1).min()


@pytest.mark.parametrize("name", [n for n in [*backbone_names(), "mobilefacenet_0.5"] if "gnap" not in n])
def test_any_embedding_size_can_be_asked_for(name):
    last = [shape for key, shape in state_of(name, 128) if key.endswith("weight") and len(shape) == 2][-1]
    assert last[0] == 128


def test_a_half_width_student_runs_and_has_about_a_quarter_of_the_weights():
    half, full = build_backbone("mobilefacenet_0.5", 64).eval(), build_backbone("mobilefacenet", 64)
    with torch.inference_mode():
        assert half(torch.zeros(2, 3, 112, 112)).shape == (2, 64)
    ratio = sum(p.numel() for p in half.parameters()) / sum(p.numel() for p in full.parameters())
    assert 0.2 < ratio < 0.35


def test_other_activations_stand_where_prelu_stood_and_all_else_is_kept():
    with_prelu = fill(build_backbone("mobilefacenet_0.25", 16)).eval()
    kept = {key: value for key, value in with_prelu.state_dict().items() if ".prelu." not in key}
    x = torch.randn(2, 3, 112, 112, generator=torch.Generator().manual_seed(0))

    def of(activation: str) -> torch.Tensor:
        other = build_backbone(f"mobilefacenet_0.25_{activation}", 16).eval()
        other.load_state_dict(kept)
        return other(x)

    with torch.no_grad():
        for unit in [module for module in with_prelu.modules() if hasattr(module, "prelu")]:
            unit.prelu.weight.zero_()
        torch.testing.assert_close(of("relu"), with_prelu(x))
        for unit in [module for module in with_prelu.modules() if hasattr(module, "prelu")]:
            unit.prelu.forward = lambda x: x * (x + 3).clamp(0, 6) / 6
        torch.testing.assert_close(of("hardswish"), with_prelu(x))


@pytest.mark.parametrize("name", [*backbone_names(), "mobilefacenet_0.5", "mobilefacenet_gnap_2.0"])
def test_a_state_dict_tells_its_backbone_and_embedding_size(name):
    size = {"mobilefacenet_gnap": 512, "mobilefacenet_gnap_2.0": 1024}.get(name, 96)
    assert deduce_backbone({key: tuple(shape) for key, shape in state_of(name, size)}) == (name, size)


@pytest.mark.parametrize(
    ("name", "embedding_size", "says"),
    [
        ("resnet50", 512, "no backbone is called 'resnet50'; there are mobilefacenet"),
        ("ir_50_0.5", 512, "ir_50 has no width multiplier"),
        ("ir_50_relu", 512, "ir_50 has no other activation"),
        ("mobilefacenet_relu_hardswish", 512, "no backbone is called 'mobilefacenet_relu_hardswish'"),
        ("mobilefacenet_9.5", 512, r"between 0\.1 and 4"),
        ("mobilefacenet_gnap", 128, "gives 512 values"),
    ],
)
def test_impossible_backbones_are_named(name, embedding_size, says):
    with pytest.raises(ModelError, match=says):
        build_backbone(name, embedding_size)


def test_sphere64_is_the_plain_construction_of_its_layers():
    """No golden numbers exist: layers are applied one by one, by name, from the counts of the public CosFace."""
    state = fill(build_backbone("sphere64", 32)).state_dict()
    images = torch.from_numpy(np.random.default_rng(5).standard_normal((2, 3, 112, 96)).astype(np.float32))
    seen = set()

    def weights(key: str) -> torch.Tensor:
        seen.add(key)
        return state[key]

    def bend(x: torch.Tensor, key: str) -> torch.Tensor:
        return x.clamp(min=0) + weights(key)[:, None, None] * x.clamp(max=0)

    x = images
    for stage, units in ((1, 3), (2, 7), (3, 16), (4, 3)):
        first = f"layer{stage}."
        x = torch.nn.functional.conv2d(x, weights(f"{first}0.weight"), weights(f"{first}0.bias"), 2, 1)
        x = bend(x, f"{first}1.weight")
        for unit in range(2, units + 2):
            y = x
            for half in (1, 2):
                kernel = weights(f"{first}{unit}.conv{half}.weight")
                y = bend(torch.nn.functional.conv2d(y, kernel, None, 1, 1), f"{first}{unit}.prelu{half}.weight")
            x = x + y
    want = x.reshape(2, -1) @ weights("fc.weight").T + weights("fc.bias")
    assert seen == set(state)
    with torch.inference_mode():
        got = fill(build_backbone("sphere64", 32))(images)
    assert (got - want).abs().max() <= 1e-5 * want.norm(dim=1).min()
