"""Teachers from a Hub: found, pinned, kept, and every way it can fail said in one line."""

import hashlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from huggingface_hub import constants
from onnx import TensorProto, helper, numpy_helper
from safetensors.torch import save
from torch import nn

from common.backbones import build_backbone
from common.config import ModelConfig
from common.errors import ModelError
from common.models.face_model import open_model
from common.models.hub import fetch_weights
from common.models.weight_files import PUBLISHED, find_weights, kept_weights
from tests.common.backbones.golden_backbones import fill
from tests.common.models.hub_server import COMMIT, FakeHub, serving

REPO = "minchul/cvlface_adaface_ir18_webface4m"


def pickled(module: nn.Module, prefix: str) -> bytes:
    buffer = io.BytesIO()
    torch.save({prefix + key: value for key, value in module.state_dict().items()}, buffer)
    return buffer.getvalue()


def safetensors(module: nn.Module, prefix: str) -> bytes:
    return save({prefix + key: value for key, value in module.state_dict().items()}, {"format": "pt"})


def test_the_first_weights_there_are_taken_and_nothing_but_them_and_the_description(hub: FakeHub):
    hub.repos[REPO] = {
        "wrapper.py": b"raise SystemExit('remote code ran')",
        "pretrained_model/model.pt": b"pickle",
        "pretrained_model/model.yaml": b"color_space: RGB\n",
    }
    found = fetch_weights(REPO)
    assert (found.file, found.revision, found.path.read_bytes()) == ("pretrained_model/model.pt", COMMIT, b"pickle")
    fetched = {path.split(f"/{COMMIT}/")[-1].split("/main/")[-1] for method, path, _ in hub.requests if method == "GET"}
    fetched -= {path for path in fetched if path.startswith("/api/")}
    assert fetched == {"pretrained_model/model.pt", "pretrained_model/model.yaml"}
    hub.repos[REPO]["model.safetensors"] = b"safetensors"
    assert fetch_weights(REPO).file == "model.safetensors"


def test_a_pinned_commit_on_this_disk_needs_no_server(hub: FakeHub):
    hub.repos[REPO] = {"pretrained_model/model.pt": b"weights"}
    first = fetch_weights(REPO, COMMIT)
    hub.requests.clear()
    assert fetch_weights(REPO, COMMIT) == first
    assert hub.requests == []


def test_offline_takes_what_is_kept_and_names_what_is_not(hub: FakeHub, monkeypatch):
    hub.repos[REPO] = {"pretrained_model/model.pt": b"weights"}
    first = fetch_weights(REPO)
    hub.requests.clear()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert fetch_weights(REPO) == first
    with pytest.raises(ModelError, match=r"some/other: revision main is not on this disk and HF_HUB_OFFLINE is set"):
        fetch_weights("some/other")
    assert hub.requests == []


def test_a_private_repository_opens_with_the_token_only(hub: FakeHub, monkeypatch):
    hub.repos[REPO] = {"model.safetensors": b"weights"}
    hub.private[REPO] = "hf_secret"
    with pytest.raises(ModelError, match="set HF_TOKEN") as refusal:
        fetch_weights(REPO)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert fetch_weights(REPO).path.read_bytes() == b"weights"
    assert "hf_secret" not in str(refusal.value)


def test_a_repository_of_weights_elsewhere_opens_by_the_name_of_its_file(hub: FakeHub, tmp_path: Path):
    hub.repos["someone/antelope"] = {"onnx/r100.onnx": b"graph"}
    with pytest.raises(ModelError, match=r"has none of model.safetensors, .* name the file with hf://"):
        find_weights("someone/antelope", None, tmp_path)
    found = find_weights("hf://someone/antelope/onnx/r100.onnx", COMMIT, tmp_path)
    assert (found.repo, found.file, found.path.read_bytes()) == ("someone/antelope", "onnx/r100.onnx", b"graph")


@pytest.mark.parametrize(
    ("repo", "revision", "status", "says"),
    [
        ("some/missing", None, None, "does not exist, or is private: check the name, or set HF_TOKEN"),
        ("some/gated", None, None, "is gated; accept its terms on http://127.0.0.1"),
        (REPO, "v9", None, "has no revision v9"),
        (REPO, None, 403, r"access refused \(403\); set HF_TOKEN"),
        (REPO, None, 404, "answered 404; try again later"),
        (REPO, None, 503, "answered 503; try again later"),
        ("-bad-/name", None, None, "is not a repository name"),
    ],
)
def test_each_refusal_says_what_to_do(hub: FakeHub, monkeypatch, repo, revision, status, says):
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
    hub.repos |= {REPO: {"model.safetensors": b"weights"}, "some/gated": {}}
    hub.gated.add("some/gated")
    hub.status = status
    with pytest.raises(ModelError, match=says) as refusal:
        fetch_weights(repo, revision)
    assert str(refusal.value).startswith(f"{repo}: ")
    assert "\n" not in str(refusal.value)


def test_no_network_is_said_and_not_waited_for_at_each_candidate(hub: FakeHub, monkeypatch):
    waits: list[float] = []
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", waits.append)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", "http://127.0.0.1:9/{repo_id}/{revision}/{filename}")
    with pytest.raises(ModelError, match=r"no answer from .* and revision main is not on this disk; check the network"):
        fetch_weights(REPO)
    assert len(waits) <= 5


def test_bytes_other_than_announced_are_refused_by_digest(hub: FakeHub, tmp_path: Path):
    hub.repos[REPO] = {"model.safetensors": b"weights with one flipped bit"}
    hub.announced["model.safetensors"] = "ab" * 32
    with pytest.raises(ModelError, match=r"the Hub says abab.*; delete it and run again"):
        find_weights(REPO, None, tmp_path)


def test_a_digest_in_the_config_that_is_not_the_files_is_refused(hub: FakeHub, tmp_path: Path):
    hub.repos[REPO] = {"model.safetensors": b"weights"}
    with pytest.raises(ModelError, match="these are other weights"):
        open_model(ModelConfig(weights=REPO, sha256="00" * 32), tmp_path)


@pytest.mark.parametrize(
    ("depth", "file"),
    [
        (18, "pretrained_model/model.pt"),
        pytest.param(50, "pretrained_model/model.pt", marks=pytest.mark.slow),
        pytest.param(50, "model.safetensors", marks=pytest.mark.slow),
    ],
)
def test_another_process_opens_a_cvlface_teacher_from_a_bare_config(tmp_path, golden, depth, file):
    """Through the environment alone, as a user would point at a mirror; embeddings equal CVLFace's own."""
    repo = f"minchul/cvlface_adaface_ir{depth}_webface4m"
    module = fill(build_backbone(f"ir_{depth}"))
    weights = pickled(module, "net.") if file.endswith(".pt") else safetensors(module, "model.net.")
    reference = np.load(golden / "backbones" / f"cvlface_ir{depth}.npz")["embedding"]
    images = np.load(golden / "backbones" / "input.npz")["images"]
    np.save(tmp_path / "images.npy", images)
    program = """
import json, sys
from pathlib import Path
import numpy as np, torch
from common.config import ModelConfig
from common.models import open_model
model = open_model(ModelConfig(weights=sys.argv[1], revision="main"), Path("."), threads=1)
images = torch.from_numpy(np.load(sys.argv[2]))
with torch.inference_mode():
    np.save(sys.argv[3], model.network.module(images).numpy())
print(json.dumps(model.describe()))
"""
    with serving() as hub:
        hub.repos[repo] = {file: weights, "pretrained_model/model.yaml": b"name: ir\ncolor_space: RGB\n"}
        environment = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path / "home")}
        command = [sys.executable, "-c", program, repo, str(tmp_path / "images.npy"), str(tmp_path / "out.npy")]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    described = json.loads(done.stdout)
    assert (described["repo"], described["file"], described["revision"]) == (repo, file, COMMIT)
    assert (described["architecture"], described["channel_order"], described["mean"]) == (f"ir_{depth}", "rgb", 127.5)
    deviation = np.abs(np.load(tmp_path / "out.npy") - reference).max() / np.linalg.norm(reference, axis=1).min()
    assert deviation <= 1e-4


def test_a_published_file_comes_from_the_hub_where_its_path_is_not_here(hub: FakeHub, tmp_path: Path, monkeypatch):
    """By its digest: the Hub may keep other bytes under the name some day."""
    name, content = "face_recognition_sface_2021dec.onnx", b"the published bytes"
    repo, digest = PUBLISHED[name]
    assert digest == "0ba9fbfa01b5270c96627c4ef784da859931e02f04419c829e83484087c34e79"
    hub.repos[repo] = {name: content}
    with pytest.raises(ModelError, match=rf"sha256 is {hashlib.sha256(content).hexdigest()}, {name} has {digest}"):
        find_weights(f"models/{name}", None, tmp_path)
    monkeypatch.setitem(PUBLISHED, name, (repo, hashlib.sha256(content).hexdigest()))
    found = find_weights(f"models/{name}", None, tmp_path)
    assert (found.path.read_bytes(), found.repo, found.file) == (content, repo, name)
    assert kept_weights(f"models/{name}", None, tmp_path) == found
    asked = len(hub.requests)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / name).write_bytes(b"somebody's own")
    assert find_weights(f"models/{name}", None, tmp_path).repo is None
    assert len(hub.requests) == asked


def colours_to(width: int) -> bytes:
    """An ONNX graph with the signature of InsightFace's: the mean colour of a face, mapped to `width` values."""
    nodes = [
        helper.make_node("GlobalAveragePool", ["input.1"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["colour"]),
        helper.make_node("MatMul", ["colour", "linear"], ["683"]),
    ]
    linear = numpy_helper.from_array(np.eye(3, width, dtype=np.float32), "linear")
    faces = helper.make_tensor_value_info("input.1", TensorProto.FLOAT, ["None", 3, 112, 112])
    rows = helper.make_tensor_value_info("683", TensorProto.FLOAT, ["None", width])
    graph = helper.make_graph(nodes, "g", [faces], [rows], [linear])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return made.SerializeToString()


def test_auraface_opens_by_its_repository_and_another_network_there_is_refused(hub: FakeHub, tmp_path: Path):
    hub.repos["fal/AuraFace-v1"] = {"glintr100.onnx": colours_to(512)}
    model = open_model(ModelConfig(weights="fal/AuraFace-v1"), tmp_path)
    said = model.describe()
    assert (said["repo"], said["file"], said["revision"]) == ("fal/AuraFace-v1", "glintr100.onnx", COMMIT)
    red = np.zeros((1, 112, 112, 3), np.uint8)
    red[..., 0] = 255
    np.testing.assert_allclose(model.embed(red)[0, :3], [1, -1, -1], atol=1e-6)  # RGB in [-1, 1]
    hub.repos["fal/AuraFace-v1"] = {"glintr100.onnx": colours_to(128)}
    with pytest.raises(ModelError, match="embedding_size is 128 in the file, not 512"):
        open_model(ModelConfig(weights="fal/AuraFace-v1"), tmp_path)
