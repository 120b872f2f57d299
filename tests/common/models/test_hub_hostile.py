"""A Hub, or a mirror in its place, that lies, drips, loops or never stops: nothing is run, kept or waited for."""

import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from common.errors import ModelError
from common.models import hub_transfer
from common.models.hub import fetch_weights
from common.models.weight_files import find_weights
from tests.common.models.hub_server import COMMIT, FakeHub, Misbehaviour, serving

REPO = "some/teacher"
BODY = bytes(range(256)) * 40


@pytest.fixture
def liar(hub: FakeHub, monkeypatch) -> FakeHub:
    """A Hub with one repository, and no patience with it."""
    hub.repos[REPO] = {"model.safetensors": BODY}
    monkeypatch.setattr(hub_transfer, "ANSWER_SECONDS", 0.5)
    monkeypatch.setattr(hub_transfer, "START_SECONDS", 0.5)
    return hub


def refused(match: str, within: float = 10, **options) -> None:
    began = time.monotonic()
    with pytest.raises(ModelError, match=match) as refusal:
        fetch_weights(REPO, **options)
    assert time.monotonic() - began < within
    assert str(refusal.value).startswith(f"{REPO}: ")
    assert "\n" not in str(refusal.value)
    assert "\x1b" not in str(refusal.value)


def names_below(folder: Path) -> list[str]:
    """Every file, and every folder but those that hold what is kept."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())


CLIMBING = "../../../../../planted.py"


@pytest.mark.parametrize(
    "etag",
    [
        f'"{CLIMBING}"',
        '"/tmp/planted.py"',
        '"' + "a" * 63 + '"',
        '"' + "g" * 64 + '"',
        '"' + "A" * 64 + '"',
        '""',
        '"\x1b[2J"',
    ],
)
def test_a_digest_that_is_none_never_becomes_a_path(liar: FakeHub, tmp_path: Path, etag: str):
    liar.hostile["HEAD"] = Misbehaviour(headers={"ETag": etag, "X-Linked-Etag": etag})
    refused("as digest of model.safetensors: no HuggingFace Hub does; check HF_ENDPOINT")
    assert names_below(tmp_path) == []
    assert not [path for method, path, _ in liar.requests if method == "GET" and "/resolve/" in path]


@pytest.mark.parametrize("commit", [CLIMBING, "c0ffee", "C" * 40, "main"])
def test_a_commit_that_is_none_never_becomes_a_path(liar: FakeHub, tmp_path: Path, commit: str):
    liar.hostile["HEAD"] = Misbehaviour(headers={"X-Repo-Commit": commit})
    refused("the commit .*: no HuggingFace Hub does; check HF_ENDPOINT")
    assert names_below(tmp_path) == []


def test_a_pinned_commit_is_not_answered_by_another(liar: FakeHub, tmp_path: Path):
    liar.hostile["HEAD"] = Misbehaviour(headers={"X-Repo-Commit": "d" * 40})
    refused(f"gave commit d+ when asked for {COMMIT}", revision=COMMIT)
    assert names_below(tmp_path) == []


def test_a_commit_in_a_refusal_is_not_believed_either(liar: FakeHub, tmp_path: Path):
    liar.repos[REPO] = {}
    liar.hostile["HEAD"] = Misbehaviour(headers={"X-Repo-Commit": CLIMBING})
    refused("has none of model.safetensors")
    assert names_below(tmp_path) == []


@pytest.mark.parametrize("digest", ["sha256", "git"])
def test_other_bytes_than_announced_are_not_kept(liar: FakeHub, tmp_path: Path, digest: str):
    if digest == "git":
        announced = hashlib.sha1(f"blob {len(BODY)}\0".encode() + BODY).hexdigest()
        liar.announced["model.safetensors"] = announced
        assert fetch_weights(REPO).path.read_bytes() == BODY, "a small file is named by git"
        shutil.rmtree(tmp_path / "kept")
    liar.hostile["GET"] = Misbehaviour(body=BODY[:-1] + b"x")
    refused(f"has {'sha256' if digest == 'sha256' else 'git sha1'} .*, the Hub says")
    assert [name for name in names_below(tmp_path) if not name.endswith(".lock")] == []
    liar.hostile.clear()
    assert fetch_weights(REPO).path.read_bytes() == BODY


@pytest.mark.parametrize(
    ("ill", "match"),
    [
        (Misbehaviour(body=BODY[:100]), "gave 100 bytes of model.safetensors after announcing 10,240"),
        (Misbehaviour(endless=True, headers={"Content-Length": str(1 << 40)}), "gave more bytes of model.safetensors"),
        (Misbehaviour(drip=0.05, headers={"Content-Length": str(1 << 40)}), "no end of the answer after"),
        (Misbehaviour(status=500), "answered 500 for model.safetensors"),
        (Misbehaviour(status=500, endless=True, headers={"Content-Length": str(1 << 40)}), "answered 500"),
        (Misbehaviour(status=429, headers={"Retry-After": "3600"}), "answered 429"),
        (Misbehaviour(status=302, headers={"Location": "/loop/resolve/main/x"}), "the download failed .*redirect"),
    ],
    ids=["short", "endless", "drip", "500", "500-endless", "429", "loop"],
)
def test_a_download_ends_and_leaves_nothing(liar: FakeHub, tmp_path: Path, ill: Misbehaviour, match: str):
    liar.hostile["GET"] = ill
    refused(match)
    assert [name for name in names_below(tmp_path) if not name.endswith(".lock")] == []


@pytest.mark.parametrize(
    ("ill", "match"),
    [
        (Misbehaviour(drip=0.05), "no end of the answer after"),
        (Misbehaviour(status=429, headers={"Retry-After": "3600"}), "answered 429; try again later"),
        (Misbehaviour(status=307, headers={"Location": f"/{REPO}/resolve/main/model.safetensors"}), "redirect"),
        (Misbehaviour(headers={"Content-Length": str(1 << 60)}), "bytes as size of model.safetensors"),
    ],
    ids=["drip", "429", "loop", "size"],
)
def test_a_question_ends(liar: FakeHub, tmp_path: Path, ill: Misbehaviour, match: str):
    liar.hostile["HEAD"] = ill
    refused(match)
    assert names_below(tmp_path) == []


def test_what_is_kept_serves_while_the_hub_misbehaves(liar: FakeHub):
    first = fetch_weights(REPO)
    late = Misbehaviour(status=429, headers={"Retry-After": "3600"})
    for ill in (Misbehaviour(status=503), late, Misbehaviour(drip=0.05)):
        liar.hostile["HEAD"] = ill
        assert fetch_weights(REPO) == first


def test_kept_bytes_are_compared_with_the_digest_they_are_kept_under_whatever_it_is_called(liar: FakeHub, tmp_path):
    found = fetch_weights(REPO, COMMIT)
    blob = found.path.resolve()
    blob.write_bytes(b"other")
    refused("the Hub says .*; delete it and run again", revision=COMMIT)
    renamed = blob.rename(blob.with_name("weights"))
    found.path.unlink()
    found.path.symlink_to(renamed)
    with pytest.raises(ModelError, match="is not kept under its digest"):
        find_weights(REPO, COMMIT, tmp_path)


@pytest.mark.parametrize("revision", ["../../../planted", "/planted", "..", "a/../../b"])
def test_a_revision_or_file_that_climbs_out_is_refused(liar: FakeHub, tmp_path: Path, revision: str):
    refused("cannot be the name of a revision", revision=revision)
    refused("cannot be the name of a file", file=f"{revision}/model.pt")
    assert names_below(tmp_path) == []
    assert liar.requests == []


def test_what_a_kill_left_of_a_download_is_gone_after_the_next(liar: FakeHub, tmp_path: Path):
    left = tmp_path / "kept" / "models--some--teacher" / ".fetching-killed"
    left.mkdir(parents=True)
    (left / "content").write_bytes(b"half")
    fetch_weights(REPO)
    assert not left.exists()


def test_a_mirror_cannot_plant_a_module_that_the_next_command_imports(tmp_path: Path):
    """The attack as it was found, against another process and through the environment alone."""
    planted = tmp_path / "work" / "tomllib.py"
    planted.parent.mkdir()
    program = (
        "import sys; from pathlib import Path; from common.models.hub import fetch_weights; fetch_weights(sys.argv[1])"
    )
    with serving() as hub:
        hub.repos[REPO] = {"model.safetensors": b"raise SystemExit('remote code ran')"}
        etag = os.path.relpath(planted, tmp_path / "home" / "hub" / "models--some--teacher" / "blobs")
        hub.hostile["HEAD"] = Misbehaviour(headers={"ETag": f'"{etag}"', "X-Linked-Etag": f'"{etag}"'})
        environment = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path / "home")}
        done = subprocess.run(
            [sys.executable, "-c", program, REPO], env=environment, capture_output=True, text=True, check=False
        )
    assert "as digest of model.safetensors" in done.stderr
    assert names_below(tmp_path) == []
