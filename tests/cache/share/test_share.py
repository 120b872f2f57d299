"""A cache that travels arrives byte for byte, with a card that says whose it is."""

import re
from pathlib import Path

import numpy as np
import pytest
import zarr
from click.testing import CliRunner

from cache.__main__ import main
from cache.format.arrays import layout_of
from cache.reader import TeacherCache
from cache.share.card import dataset_card
from cache.share.remote import HubDataset, open_remote
from cache.share.share import pull, push
from cache.subset import cut_out
from cache.verify import check_store
from common.config.file import toml_of
from common.errors import CacheError
from common.faces.sources import open_source
from tests.tiny import experiment, tree

OUT = Path("caches/pulled")


def test_a_pulled_cache_has_the_bytes_of_the_pushed_one_and_a_card(path, remote):
    push(path, remote, "research only", "MIT")
    pull(remote, OUT)
    here = tree(OUT)
    assert here.pop("ledger/README.md")
    assert here == tree(path)
    assert check_store(OUT) == []
    assert {p.name for p in Path("caches").iterdir() if p.name.startswith(".")} <= {".pulled.claims"}


def test_only_files_of_the_cache_travel(path, remote):
    (path / "notes.txt").write_text("password")
    (path / "embedding/c/0/0/.0.writing").write_text("half")
    push(path, remote, "unknown", "unknown")
    pull(remote, OUT)
    assert tree(OUT).keys() - tree(path).keys() == {"ledger/README.md"}
    assert tree(path).keys() - tree(OUT).keys() == {"notes.txt", "embedding/c/0/0/.0.writing"}


def test_a_subset_takes_its_selection_along(path, remote):
    cut_out(TeacherCache(path), open_source("data/faces"), np.array([2, 3]), Path("caches/small"))
    push(Path("caches/small"), remote, "unknown", "unknown")
    assert (pull(remote, OUT) / "ledger/subset.json").exists()


def test_the_card_states_what_the_cache_is_and_whose_data_it_is(path, shared):
    card, manifest = (shared[1] / "README.md").read_text(), TeacherCache(path).manifest
    facts = [
        "tiny.onnx, licence unknown",
        "35 of 7 people (recordio), licence unknown",
        "policy flip",
        "biometric data",
    ]
    digests = [manifest["teacher"]["weights_sha256"], manifest["faces"]["fingerprint"], manifest["sealed"]["ledger"]]
    for fact in (*facts, *digests, manifest["decoder"], f"python -m cache pull {shared[0].url}"):
        assert fact in card
    assert re.match(r"---\nlicense: other\nlicense_name: see-card\n", card)


def test_a_teachers_name_cannot_break_out_of_the_card(path):
    manifest = TeacherCache(path).manifest
    manifest["teacher"]["name"] = "a|b\n---\n\x1b[2J# c"
    card = dataset_card(manifest, layout_of(manifest), "memory://x", "MIT", "x\ny")
    assert "\x1b" not in card
    assert not re.search(r"^(# c|y|---\\n# c)", card, re.MULTILINE)
    assert card.count("\n---\n") == 1


def test_licences_are_asked_for(path, remote):
    with pytest.raises(CacheError, match=r"licence of tiny\.onnx is not known here: give --teacher-licence"):
        push(path, remote, "CC-BY")
    Path("tiny.toml").write_text(toml_of(experiment()))
    result = CliRunner().invoke(main, ["push", "--config", "tiny.toml", "memory://x"])
    assert result.exit_code == 2
    assert "--faces-licence" in result.output


def test_places_by_their_names():
    assert isinstance(open_remote("owner/name"), HubDataset)
    assert open_remote("hf://datasets/owner/name").url == "hf://datasets/owner/name"
    with pytest.raises(CacheError, match=r"nowhere://x: .*file:///folder, or owner/name"):
        open_remote("nowhere://x")


def test_the_commands_say_what_they_did(path, world):
    Path("tiny.toml").write_text(toml_of(experiment()))
    url = f"file://{world}/shared"
    licences = ["--faces-licence", "unknown", "--teacher-licence", "unknown"]
    result = CliRunner().invoke(main, ["push", "--config", "tiny.toml", url, *licences])
    assert result.exit_code == 0, result.output
    result = CliRunner().invoke(main, ["pull", url, "--out", str(OUT)])
    assert result.exit_code == 0, result.output
    assert "35 of 7 people" in result.output
    assert zarr.open_group(OUT, mode="r")["embedding"].shape == (2, 35, 16)
    result = CliRunner().invoke(main, ["pull", url, "--out", str(OUT)])
    assert (result.exit_code, "exists: choose another --out" in result.output) == (2, True)
