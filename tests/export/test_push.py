"""Packages on the Hub, spoken to by the real client: one commit, resumed, and nobody's files overwritten."""

import json
from pathlib import Path

import pytest

from common.errors import ModelError, UserError
from export.package import write_sums
from export.push import push
from tests.common.models.hub_repositories import Repositories

REPO = "lab/student"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "kept"))
    out = tmp_path / "tiny"
    out.mkdir()
    card = "---\nlicense: other\n---\n# tiny\n"
    made = {"student.safetensors": "weights", "model.onnx": "graph", "README.md": card, "measured.json": "[]"}
    for name, text in {**made, "model.int8.failed.onnx": "no", "notes.txt": "mine"}.items():
        (out / name).write_text(text)
    write_sums(out)
    return out


def test_a_package_arrives_in_one_commit_of_a_private_repository(repositories: Repositories, folder):
    assert push(folder, REPO) == 5
    there = {name: content.decode() for name, content in repositories.repos[REPO].items()}
    assert there == {name: (folder / name).read_text() for name in there}
    assert there.keys() == {"student.safetensors", "model.onnx", "README.md", "measured.json", "SHA256SUMS"}
    assert repositories.commits == 1
    [made] = repositories.created
    assert made.get("type") in (None, "model")
    assert made.get("private") is True or made.get("visibility") == "private"


def test_a_push_that_failed_shows_nothing_and_sends_no_weights_twice(repositories: Repositories, folder):
    repositories.refuse_commits = True
    with pytest.raises(ModelError, match=r"^lab/student: .*HF_TOKEN one that may write there"):
        push(folder, REPO)
    assert REPO not in repositories.repos
    sent = list(repositories.put)
    assert len(sent) == 2
    repositories.refuse_commits = False
    push(folder, REPO)
    assert repositories.put == sent
    assert repositories.commits == 1


def test_what_a_later_package_lacks_leaves_in_its_commit_and_what_others_added_stays(repositories, folder):
    push(folder, REPO)
    repositories.repos[REPO]["CITATION.cff"] = b"theirs"
    (folder / "model.onnx").unlink()
    write_sums(folder)
    push(folder, REPO)
    names = {"student.safetensors", "README.md", "measured.json", "SHA256SUMS", "CITATION.cff"}
    assert repositories.repos[REPO].keys() == names
    assert repositories.commits == 2


def test_a_repository_of_somebody_else_is_left_alone(repositories: Repositories, folder):
    repositories.repos[REPO] = {"README.md": b"theirs", ".gitattributes": b"", "model.bin": b"theirs"}
    with pytest.raises(ModelError, match=r"lab/student: holds 'model.bin' and no SHA256SUMS, .*choose another name"):
        push(folder, REPO)
    assert repositories.repos[REPO]["README.md"] == b"theirs"
    del repositories.repos[REPO]["model.bin"]  # what the Hub's page for a new repository makes
    push(folder, REPO)
    assert repositories.repos[REPO]["README.md"] == (folder / "README.md").read_bytes()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda out: (out / "model.onnx").write_text("other"), "model.onnx: changed since the card was written"),
        (lambda out: (out / "model.onnx").unlink(), "model.onnx: gone since the card"),
        (lambda out: (out / "more.onnx").write_text("x"), "more.onnx: not known to the card"),
        (lambda out: (out / "SHA256SUMS").unlink(), "no SHA256SUMS, so no card was written"),
        (lambda out: (out / "SHA256SUMS").write_text("0" * 64 + "  ../../etc/passwd\n"), "no list of digests"),
    ],
)
def test_a_package_that_is_not_as_its_card_says_is_not_sent(repositories: Repositories, folder, change, says):
    change(folder)
    with pytest.raises(UserError, match=says):
        push(folder, REPO)
    assert repositories.requests == []


def test_a_list_of_a_hostile_repository_removes_nothing_that_is_not_there(repositories: Repositories, folder):
    listed = f"{'0' * 64}  other.onnx\n".encode()
    repositories.repos[REPO] = {"SHA256SUMS": listed, "kept.txt": json.dumps(1).encode()}
    push(folder, REPO)
    assert "kept.txt" in repositories.repos[REPO]
