"""TinyFace's aligned folder becomes a set that evaluates, whatever the folders are called."""

from pathlib import Path

import numpy as np
import pytest

from common.embeddings import Embeddings
from common.errors import DataError
from common.faces import encode_jpeg
from evaluate.files import ArrowFaces
from evaluate.sets import open_set
from photos.sets.tinyface import write_tinyface
from tests.tiny import portrait

MEMBERS = {
    "Probe": ["1_1.jpg", "2_1.jpg", "7_4.jpg"],
    "Gallery_Match": ["1_2.jpg", "2_2.jpg", "2_3.jpg", "10_1.jpg"],
    "Gallery_Distractor": ["d_000.jpg", "d_001.jpg"],
}


@pytest.fixture
def release(tmp_path: Path) -> Path:
    folder = tmp_path / "release"
    aligned = folder / "aligned_pad_0.1_pad_high"
    aligned.mkdir(parents=True)
    for number, (part, names) in enumerate(MEMBERS.items()):
        originals = folder / "tinyface" / "Testing_Set" / part
        originals.mkdir(parents=True)
        for photo, name in enumerate(names):
            (originals / name).write_bytes(b"original")
            (aligned / name.replace(".jpg", ".png" if photo else ".jpg")).write_bytes(
                encode_jpeg(portrait(number, photo))
            )
    return folder


def test_the_set_evaluates_to_the_ranks_of_hand_made_embeddings(tmp_path, release):
    told = write_tinyface(release, tmp_path / "set")
    assert "9 faces; 3 probe, 4 gallery, 2 distractor" in told
    faces = ArrowFaces(tmp_path / "set")
    opened = open_set(tmp_path / "set")
    names = opened.names()
    aligned = release / "aligned_pad_0.1_pad_high"
    assert [faces[row] for row in range(9)] == [(aligned / name).read_bytes() for name in names]
    # Person 1's probe is nearest to a distractor, then to its mate; person 2's to its mate.
    directions = {
        "1_1": 0.0,
        "d_000": 0.1,
        "1_2": 0.3,
        "2_1": 1.5,
        "2_2": 1.6,
        "2_3": 2.5,
        "7_4": 3,
        "10_1": 4,
        "d_001": 5,
    }
    angles = np.array([directions[name.split(".")[0]] for name in names])
    rows = np.column_stack([np.cos(angles), np.sin(angles)]).astype(np.float32)
    result = opened.measure(Embeddings(rows, np.ones(9, np.float32)), False)
    assert (result.probes, result.probes_without_mate, result.distractors) == (2, 1, 2)
    assert (result.rank[1], result.rank[5]) == (0.5, 1.0)


def test_what_does_not_belong_together_is_refused_by_name(tmp_path, release):
    (release / "aligned_pad_0.1_pad_high" / "2_2.png").unlink()
    with pytest.raises(DataError, match=r"no aligned face for 1 pictures, such as Gallery_Match/2_2\.jpg"):
        write_tinyface(release, tmp_path / "set")
    (release / "tinyface" / "Testing_Set" / "Probe" / "who_1.jpg").write_bytes(b"")
    with pytest.raises(DataError, match=r"Probe/who_1\.jpg does not begin with its person's number"):
        write_tinyface(release, tmp_path / "set")
    (release / "aligned_again").mkdir()
    with pytest.raises(DataError, match="2 folders called"):
        write_tinyface(release, tmp_path / "set")
    with pytest.raises(DataError, match="no pictures there"):
        write_tinyface(release, tmp_path / "set", release / "aligned_again")
    assert not (tmp_path / "set").exists()
