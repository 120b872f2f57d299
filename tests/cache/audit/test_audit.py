"""The audit finds a wrong face and a person under two names, and its numbers are those of brute force."""

import csv
from pathlib import Path

import numpy as np
import pytest

from cache.audit.audit import audit, close_people, leave_one_out, most_typical
from cache.audit.report import audit_cache
from cache.build import build
from cache.reader import TeacherCache
from common.errors import CacheError, DataError, UserError
from common.faces.pixels import encode_jpeg
from common.faces.recordio_dataset import write_recordio_dataset
from common.faces.sources import open_source
from tests.tiny import TinyTeacher, experiment, jpegs, portrait, write_faces


def cache_of(people: list[list[bytes]], policy: str = "none") -> TeacherCache:
    """The tiny teacher takes a mirrored face for another one: `flip` only where that does not matter."""
    write_recordio_dataset(Path("data/faces"), people)
    config = experiment(views={"policy": policy})
    return TeacherCache(build(config, open_source("data/faces"), TinyTeacher(), threads=1, quiet=True))


@pytest.fixture
def mirrored(world) -> TeacherCache:
    """Two views; person 3 has one face."""
    people = jpegs(5, 4)
    return cache_of([*people[:3], people[3][:1], people[4]], "flip")


@pytest.fixture
def odd(world) -> TeacherCache:
    """Person 1's third face is person 4; person 6 is person 2 again; person 7 has one face."""
    people = jpegs(8, 5)
    people[1][2] = encode_jpeg(portrait(4, 77))
    people[6] = [encode_jpeg(portrait(2, photo)) for photo in (50, 51, 52)]
    people[7] = people[7][:1]
    return cache_of(people)


def test_a_wrong_face_and_a_person_under_two_names_are_found(odd):
    found = audit(odd, noise_below=0.6)
    assert found.noise.tolist() == [7]
    assert found.nearest.tolist() == [4]
    assert found.pairs.tolist() == [[2, 6]]


def test_thresholds_come_from_strangers_and_from_the_same_people(mirrored):
    found = audit(mirrored)
    assert np.sort(found.other)[-2] < found.noise_below <= found.other.max(), "99.9 % of 17 are all but the last"
    assert np.nanmean(found.same < found.duplicate_above) == pytest.approx(0.5, abs=0.03)
    for i in range(len(mirrored)):
        label, rows = mirrored.labels[i], np.stack([mirrored.gather([i], view)[0] for view in (0, 1)])
        cosines = (rows @ mirrored.centers.T).mean(0)
        assert np.isclose(np.delete(cosines, label), found.other[i], atol=1e-6).any(), "a centre of another person"


def test_leave_one_out_cosines_equal_brute_force(mirrored):
    rows = np.stack([mirrored.gather(np.arange(len(mirrored)), view) for view in (0, 1)]).astype(np.float64)
    cosines = leave_one_out(mirrored)
    for i in range(len(mirrored)):
        others = (mirrored.labels == mirrored.labels[i]) & (np.arange(len(mirrored)) != i)
        if not others.any():
            assert np.isnan(cosines[i])
            continue
        mean = rows[:, others].mean((0, 1))
        expected = np.mean([row @ mean / np.linalg.norm(mean) for row in rows[:, i]])
        assert cosines[i] == pytest.approx(expected, abs=1e-6)


def test_the_plain_confidence_hides_what_leave_one_out_shows(world):
    people = jpegs(6, 2)
    people[3][1] = encode_jpeg(portrait(40, 0))
    found = audit(cache_of(people), noise_below=0.6)
    assert sorted(found.noise.tolist()) == [6, 7], "of two faces that differ nobody knows which is wrong"
    assert found.confidence[6] > found.same[6] + 0.3


@pytest.mark.parametrize("above", [-1.0, 0.2, 0.9])
def test_close_people_are_all_pairs_above_the_threshold(above, monkeypatch):
    monkeypatch.setattr("cache.audit.audit.BLOCK", 7)
    rows = np.random.default_rng(0).standard_normal((30, 8)).astype(np.float32)
    rows[20] = rows[3] + 0.01
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    cosine = rows @ rows.T
    expected = {(a, b) for a in range(30) for b in range(a + 1, 30) if cosine[a, b] >= above}
    pairs, cosines = close_people(rows, above)
    assert {tuple(pair) for pair in pairs.tolist()} == expected
    assert (np.diff(cosines) <= 0).all()
    np.testing.assert_allclose(cosines, [cosine[a, b] for a, b in pairs], atol=1e-6)


def test_the_most_typical_face_is_never_the_questioned_one():
    same, labels = np.array([0.9, 0.5, 0.7, np.nan]), np.array([0, 0, 0, 1])
    assert most_typical(same, labels, 0) == 0
    assert most_typical(same, labels, 0, besides=0) == 2
    assert most_typical(same, labels, 1) == 3
    assert most_typical(same, labels, 1, besides=3) == -1


def test_lists_name_the_record_and_both_people(odd):
    text = audit_cache(odd, open_source("data/faces"), Path("audit"), noise_below=0.6)
    with open("audit/label-noise.csv") as file:
        (line,) = csv.DictReader(file)
    assert (line["sample"], line["person"], line["nearest_person"]) == ("7", "identity 1", "identity 4")
    assert line["record"].endswith("train.rec: record 8")
    with open("audit/duplicates.csv") as file:
        (pair,) = csv.DictReader(file)
    assert (pair["person_a"], pair["faces_a"], pair["person_b"], pair["faces_b"]) == (
        "identity 2",
        "5",
        "identity 6",
        "3",
    )
    assert "the other 1 are alone" in text
    for picture in ("label-noise", "duplicates", "cosines", "norms"):
        assert Path(f"audit/{picture}.png").read_bytes().startswith(b"\x89PNG")


def test_people_have_the_names_of_their_folders_or_of_the_list_beside_the_records(world):
    for name in ("Ada", "Bo"):
        Path(f"folders/{name}").mkdir(parents=True)
        Path(f"folders/{name}/1.jpg").write_bytes(encode_jpeg(portrait(1, 1)))
    assert open_source("folders").people == ["Ada", "Bo"]
    Path("data/faces/identities.json").write_text('["a", "b", "c", "d", "e", "f", "g"]')
    assert open_source("data/faces").people == list("abcdefg")
    Path("data/faces/identities.json").write_text('["a"]')
    with pytest.raises(DataError, match=r"identities.json: 1 names, expected a list of 7"):
        open_source("data/faces").people  # noqa: B018


def test_faces_that_are_not_the_caches_are_refused(odd):
    write_faces(Path("data/faces"), people=3)
    with pytest.raises(CacheError, match=r"faces.samples is 34 in the cache and 15 now"):
        audit_cache(odd, open_source("data/faces"), Path("audit"))
    assert not Path("audit").exists()


def test_pictures_that_were_skipped_are_not_judged(world):
    people = jpegs(6, 3)
    people[2][1] = b"no jpeg at all"
    write_recordio_dataset(Path("data/faces"), people)
    config = experiment(views={"policy": "none"}, cache={"on_bad_image": "skip"})
    cache = TeacherCache(build(config, open_source("data/faces"), TinyTeacher(), threads=1, quiet=True))
    found = audit(cache)
    assert np.flatnonzero(np.isnan(found.same)).tolist() == cache.skipped.tolist() == [7]
    assert np.isfinite(found.other).all()
    assert "17 faces of 6 people" in audit_cache(cache, open_source("data/faces"), Path("audit"))


def test_without_second_faces_the_threshold_must_be_given(world):
    cache = cache_of(jpegs(4, 1))
    with pytest.raises(UserError, match="give --duplicate-above"):
        audit(cache)
    assert len(audit(cache, duplicate_above=-1.0).pairs) == 6
