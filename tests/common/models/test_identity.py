"""A teacher is the same under every spelling that opens it, and another in every field that is its identity."""

import io
import shutil
from pathlib import Path

import pytest
import torch

from cache.build import build
from cache.format.arrays import refuse_teacher
from cache.plan import plan_build
from cache.reader import TeacherCache
from common.backbones import build_backbone
from common.config import ModelConfig
from common.errors import CacheError, ConfigError, ModelError
from common.faces.sources import open_source
from common.models.face_model import open_model
from common.models.identity import IDENTITY, identity_of, known_of
from common.models.weight_files import local_name
from common.models.weights import save_weights
from tests.common.backbones.golden_backbones import fill
from tests.common.models.hub_server import COMMIT, FakeHub
from tests.common.models.test_models import onnx_file
from tests.tiny import experiment

BACKBONE, DIM = "mobilefacenet_0.25", 16
FOLDER = "models/cvlface_ir50"


@pytest.fixture(scope="module")
def pickled() -> bytes:
    buffer = io.BytesIO()
    state = fill(build_backbone(BACKBONE, DIM)).state_dict()
    torch.save({f"net.{key}": value for key, value in state.items()}, buffer)
    return buffer.getvalue()


@pytest.fixture
def root(hub: FakeHub, tmp_path: Path, pickled: bytes) -> Path:
    """A data root with teachers of every kind, and a Hub with the same and others."""
    root = tmp_path / "data"
    published = {"pretrained_model/model.pt": pickled, "pretrained_model/model.yaml": b"color_space: BGR\n"}
    for file, content in published.items():
        path = root / FOLDER / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    onnx_file(root / "graph.onnx")
    save_weights(fill(build_backbone(BACKBONE, DIM)), root / "own.safetensors", {"channel_order": "rgb"})
    hub.branches |= {"v1", "refs/pr/1"}
    hub.repos["owner/name"] = {**published, "onnx/r.onnx": (root / "graph.onnx").read_bytes()}
    hub.repos["owner/model-v1.5"] = {"model.safetensors": (root / "own.safetensors").read_bytes()}
    return root


SPELLINGS = [
    {"weights": "graph.onnx"},
    {"weights": "./graph.onnx"},
    {"weights": "own.safetensors"},
    {"weights": FOLDER},
    {"weights": f"{FOLDER}/"},
    {"weights": f"{FOLDER}/pretrained_model/model.pt"},
    {"weights": f"{FOLDER}/pretrained_model/model.pt", "channel_order": "rgb", "precision": "bfloat16"},
    {"weights": "owner/name"},
    {"weights": "owner/name", "revision": "main"},
    {"weights": "owner/name", "revision": "v1"},
    {"weights": "owner/name", "revision": COMMIT},
    {"weights": "owner/name", "channel_order": "rgb", "mean": 1.0, "std": 2.0},
    {"weights": "hf://owner/name"},
    {"weights": "hf://owner/name/onnx/r.onnx", "revision": "v1"},
    {"weights": "hf://owner/name/pretrained_model/model.pt"},
    {"weights": "owner/model-v1.5"},
    {"weights": "hf://owner/model-v1.5"},
    {"weights": "hf://owner/model-v1.5/model.safetensors", "revision": COMMIT},
]
EVERY_SPELLING = pytest.mark.parametrize("spelled", SPELLINGS, ids=lambda spelled: "-".join(map(str, spelled.values())))


def accept(config: ModelConfig, root: Path, recorded: dict) -> dict:
    known = known_of(config, root, recorded)
    refuse_teacher(Path("cache"), recorded, known)
    return known


@EVERY_SPELLING
def test_every_spelling_that_opens_passes_on_its_own_manifest_here_and_where_the_weights_are_not(
    hub: FakeHub, root: Path, tmp_path: Path, spelled: dict
):
    config = ModelConfig(**spelled)
    recorded = open_model(config, root, threads=1).describe()
    hub.requests.clear()
    assert accept(config, root, recorded) == {
        field: value for field, value in identity_of(recorded).items() if field != "embedding_size" or value == DIM
    } | {"embedding_size": recorded["embedding_size"]}
    shutil.rmtree(tmp_path / "kept", ignore_errors=True)
    elsewhere = accept(config, tmp_path / "other machine", recorded)
    assert "weights_sha256" not in elsewhere
    assert elsewhere["precision"] == recorded["precision"]
    assert hub.requests == [], "no network is asked"


@EVERY_SPELLING
def test_every_changed_identity_field_is_refused_by_name_with_both_values(root: Path, spelled: dict):
    config = ModelConfig(**spelled)
    recorded = open_model(config, root, threads=1).describe()
    others = {
        "weights_sha256": "ab" * 32,
        "architecture": "ir_50",
        "embedding_size": 77,
        "size": [96, 112],
        "channel_order": {"rgb": "bgr", "bgr": "rgb"}[recorded["channel_order"]],
        "mean": 3.5,
        "std": 4.5,
        "precision": "float16",
    }
    assert set(others) == set(IDENTITY)
    for field, other in others.items():
        with pytest.raises(CacheError) as refusal:
            accept(config, root, {**recorded, field: other})
        assert f"teacher.{field} is {other!r} in the cache and {recorded[field]!r} now" in str(refusal.value)


@pytest.mark.parametrize(
    ("field", "stated"),
    [
        ("architecture", "ir_50"),
        ("embedding_size", 77),
        ("size", (96, 112)),
        ("channel_order", "rgb"),
        ("mean", 3.5),
        ("std", 4.5),
        ("precision", "float16"),
        ("sha256", "ab" * 32),
    ],
)
def test_what_a_config_states_is_compared_where_the_weights_are_not(root: Path, tmp_path: Path, field, stated):
    recorded = open_model(ModelConfig(weights=FOLDER), root, threads=1).describe()
    name = "weights_sha256" if field == "sha256" else field
    value = list(stated) if field == "size" else stated
    with pytest.raises(CacheError) as refusal:
        accept(ModelConfig(weights=FOLDER, **{field: stated}), tmp_path, recorded)
    assert f"teacher.{name} is {recorded[name]!r} in the cache and {value!r} now" in str(refusal.value)


@pytest.mark.parametrize(
    ("spelled", "says"),
    [
        ({"weights": "other/name"}, "teacher.repo is 'owner/name' in the cache and 'other/name' now"),
        ({"weights": "models/name.pt"}, "teacher.repo is 'owner/name' in the cache and None now"),
        ({"weights": "owner/name", "revision": "d" * 40}, f"teacher.revision is '{COMMIT}' in the cache and 'd"),
        ({"weights": "hf://owner/name/onnx/r.onnx"}, "teacher.file is 'pretrained_model/model.pt' in the cache"),
    ],
)
def test_another_origin_is_refused_where_the_weights_are_not(hub, root, tmp_path, spelled, says):
    recorded = open_model(ModelConfig(weights="owner/name"), root, threads=1).describe()
    shutil.rmtree(tmp_path / "kept")
    with pytest.raises(CacheError, match=says):
        accept(ModelConfig(**spelled), tmp_path / "other machine", recorded)


def test_the_same_weights_are_one_teacher_from_a_file_a_folder_and_the_hub(root: Path):
    spelled = [FOLDER, f"{FOLDER}/pretrained_model/model.pt", "owner/name"]
    described = [open_model(ModelConfig(weights=weights), root, threads=1).describe() for weights in spelled]
    for recorded in described:
        for weights in spelled:
            accept(ModelConfig(weights=weights), root, recorded)
    assert [one["name"] for one in described] == ["cvlface_ir50", "cvlface_ir50", "owner/name"]


@pytest.mark.parametrize(
    ("weights", "name"),
    [
        ("models/r50.onnx", "r50.onnx"),
        ("models/ir101/pretrained_model/model.pt", "ir101"),
        ("/data/ir101/model.safetensors", "ir101"),
        ("r100/backbone.pth", "r100"),
        ("model.safetensors", "model.safetensors"),
        ("/model.safetensors", "model.safetensors"),
        ("models/ir101/", "ir101"),
        (".", None),
    ],
)
def test_weights_are_called_by_their_folder_where_all_files_have_one_name(weights, name):
    assert local_name(weights) == name


def test_weights_that_are_here_and_are_not_those_the_config_states_are_refused(root: Path):
    recorded = open_model(ModelConfig(weights=FOLDER), root, threads=1).describe()
    with pytest.raises(ModelError, match="these are other weights"):
        accept(ModelConfig(weights=FOLDER, sha256="ab" * 32), root, recorded)


def test_build_plan_and_student_agree_about_a_teacher_in_a_folder(world: Path, pickled: bytes):
    path = world / "data" / FOLDER / "pretrained_model" / "model.pt"
    path.parent.mkdir(parents=True)
    path.write_bytes(pickled)
    config = experiment(teacher=ModelConfig(weights=FOLDER))
    teacher = open_model(config.teacher, world / "data", threads=1)
    made = TeacherCache(build(config, open_source("data/faces"), teacher, threads=1, quiet=True))
    made.require_teacher(config.teacher, world / "data")
    assert plan_build(config, world / "data").missing == []
    other = experiment(teacher=ModelConfig(weights=FOLDER, channel_order="bgr"))
    told = "teacher.channel_order is 'rgb' in the cache and 'bgr' now"
    with pytest.raises(CacheError, match=told):
        made.require_teacher(other.teacher, world / "data")
    again = open_model(other.teacher, world / "data", threads=1)
    with pytest.raises(CacheError, match=told):
        build(other, open_source("data/faces"), again, threads=1, quiet=True)
    assert [told in line for line in plan_build(other, world / "data").missing] == [True]


def test_a_student_of_another_width_is_refused_before_the_teacher_has_run(world: Path, pickled: bytes):
    from cache.teachers import open_teacher

    path = world / "data" / "models" / "teacher.pt"
    path.parent.mkdir(parents=True)
    path.write_bytes(pickled)
    student = {"backbone": "mobilefacenet_0.25", "embedding_size": 32}
    config = experiment(teacher=ModelConfig(weights="models/teacher.pt"), student=student)
    told = "student.embedding_size is 32, but the teacher's embeddings are 16 wide"
    with pytest.raises(ConfigError, match=told):
        open_teacher(config, world / "data", open_source("data/faces"), "cpu", 1)
    assert any(told in line for line in plan_build(config, world / "data").missing)
