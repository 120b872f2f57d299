"""The demo's data set has the true formats, is a function of its seed, and keeps people apart."""

from pathlib import Path

import numpy as np
import pytest

from common.faces.pixels import decode_rgb
from common.faces.recordio import Records
from common.faces.sources import open_source
from demo.dataset import FIRST_TEACHER_PERSON, album, demo_people, make_data
from evaluate.files import load_bin

IDENTITIES, PHOTOS, PAIRS = 6, 3, 80
FILES = ["property", "train.idx", "train.rec", "unseen.bin"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "faces"
    make_data(folder, seed=1, identities=IDENTITIES, photos=PHOTOS, pairs=PAIRS)
    return folder


def test_training_faces_come_back_as_they_were_drawn(folder):
    source = open_source(folder)
    assert (len(source), source.num_classes) == (IDENTITIES * PHOTOS, IDENTITIES)
    people, _ = demo_people(1, IDENTITIES, PAIRS)
    for sample in (0, 7, 17):
        assert source.label(sample) == sample // PHOTOS
        assert source.jpeg(sample) == album(people[sample // PHOTOS], PHOTOS)[sample % PHOTOS]
        assert source.rgb(sample).shape == (112, 112, 3)


def test_the_record_file_has_the_header_and_range_records_of_faces_emore(folder):
    records = Records(folder / "train.rec")
    count = IDENTITIES * PHOTOS
    np.testing.assert_array_equal(records[0].label, [count + 1, count + 1 + IDENTITIES])
    np.testing.assert_array_equal(records[count + 1].label, [1, 1 + PHOTOS])
    assert (folder / "property").read_text() == f"{IDENTITIES},112,112"


def test_every_fold_of_the_verification_set_is_balanced_and_has_its_own_people(folder):
    pictures, issame = load_bin(folder / "unseen.bin")
    assert len(issame) == PAIRS
    assert (issame.reshape(10, -1).mean(1) == 0.5).all()
    folds = [set(pictures[start : start + PAIRS // 5]) for start in range(0, 2 * PAIRS, PAIRS // 5)]
    assert sum(map(len, folds)) == len(set().union(*folds)) == PAIRS
    assert all(decode_rgb(picture, "picture").shape == (112, 112, 3) for picture in pictures)


def test_same_pairs_show_one_person_and_other_pairs_two(folder):
    _, unseen = demo_people(1, IDENTITIES, PAIRS)
    owner = {jpeg: person for person in unseen for jpeg in album(person, 4)}
    pictures, issame = load_bin(folder / "unseen.bin")
    assert [owner[a] == owner[b] for a, b in zip(pictures[::2], pictures[1::2], strict=True)] == issame.tolist()


def test_a_seed_gives_the_same_bytes_again_and_another_seed_other_faces(folder, tmp_path):
    make_data(tmp_path / "again", seed=1, identities=IDENTITIES, photos=PHOTOS, pairs=PAIRS)
    make_data(tmp_path / "other", seed=2, identities=IDENTITIES, photos=PHOTOS, pairs=PAIRS)
    assert sorted(path.name for path in folder.iterdir()) == FILES
    for name in FILES:
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()
    assert (tmp_path / "other" / "train.rec").read_bytes() != (folder / "train.rec").read_bytes()


def test_nobody_is_in_two_sets():
    numbers = [person for seed in range(5) for people in demo_people(seed, 5000, 1200) for person in people]
    assert len(numbers) == len(set(numbers))
    assert max(demo_people(99, 5000, 1200)[1]) < FIRST_TEACHER_PERSON


@pytest.mark.parametrize(
    ("seed", "identities", "pairs"), [(0, 600, 50), (0, 600, 40), (0, 9_999, 1200), (0, 0, 1200), (100, 600, 1200)]
)
def test_impossible_sizes_are_refused(seed, identities, pairs):
    with pytest.raises(ValueError, match="pairs"):
        demo_people(seed, identities, pairs)
