"""A cache of some people holds the parent's rows bit for bit, verifies, and replays, whatever the views."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from cache.__main__ import main
from cache.build import build
from cache.format.arrays import describe_faces
from cache.people import named_people, sampled_people
from cache.reader import TeacherCache
from cache.repair import drop_damaged
from cache.replay import replay
from cache.subset import cut_out
from cache.verify import check_store
from common.config import Config
from common.config.file import toml_of
from common.errors import CacheError, DataError
from common.faces.recordio_dataset import write_recordio_dataset
from common.faces.sources import open_faces, open_source
from common.faces.subset import SubsetSource
from distill.train import train
from tests.tiny import TinyTeacher, experiment, jpegs, tree, write_faces

CHOSEN = np.array([1, 4, 5])
ROWS = np.r_[5:10, 20:30]
ADAFACE = {"policy": "flip+adaface", "count": 4}


def parent_of(config: Config) -> TeacherCache:
    return TeacherCache(build(config, open_source("data/faces"), TinyTeacher(), threads=1, quiet=True))


def child_of(parent: TeacherCache, chosen: np.ndarray = CHOSEN) -> TeacherCache:
    cut_out(parent, open_source("data/faces"), chosen, Path("caches/small"))
    return TeacherCache("caches/small")


def small(**sections) -> Config:
    return experiment(**{"name": "small", **sections}, faces={"subset": "caches/small"}, cache={"path": "caches/small"})


@pytest.mark.parametrize("dtype", ["float16", "float32", "int8"])
@pytest.mark.parametrize("confidence", ["center", "leave_one_out"])
def test_every_row_is_the_parents_bit_for_bit(world, dtype, confidence):
    parent = parent_of(experiment(cache={"dtype": dtype, "confidence": confidence}))
    child = child_of(parent)
    assert (len(child), child.num_classes) == (15, 3)
    for name in child.layout.arrays.keys() - {"label", "center", "count", "confidence"}:
        for view in range(2):
            rows = child.stored(name, np.arange(15), view)
            assert rows.tobytes() == parent.stored(name, ROWS, view).tobytes(), name
    assert child.labels.tolist() == [0] * 5 + [1] * 5 + [2] * 5
    np.testing.assert_allclose(child.centers, parent.centers[CHOSEN], atol=1e-6)
    assert np.array_equal(child.counts, parent.counts[CHOSEN])
    for view in range(2):
        np.testing.assert_allclose(child.confidence(np.arange(15), view), parent.confidence(ROWS, view), atol=1e-6)


@pytest.mark.parametrize("views", [{"policy": "flip"}, ADAFACE], ids=lambda v: v["policy"])
def test_it_verifies_and_its_faces_replay_under_their_old_numbers(world, views):
    child = child_of(parent_of(experiment(views=views)))
    assert check_store(child.path) == []
    source = open_faces(small(views=views), Path("data"))
    assert [source.number(i) for i in range(15)] == ROWS.tolist()
    assert replay(child, source, TinyTeacher(), 60).faults() == []


def test_under_new_numbers_augmented_faces_do_not_replay(world):
    child = child_of(parent_of(experiment(views=ADAFACE)))
    source = open_faces(small(views=ADAFACE), Path("data"))
    source.number = lambda sample: sample  # type: ignore[method-assign]
    assert any("views changed" in fault for fault in replay(child, source, TinyTeacher(), 60).faults())


@pytest.mark.parametrize("views", [{"policy": "flip"}, ADAFACE], ids=lambda v: v["policy"])
def test_a_student_trains_from_it(world, views):
    child_of(parent_of(experiment(views=views)))
    config = small(views=views, train={"epochs": 1, "verify": "all"})
    assert train(config, Path("data"), torch.device("cpu"), 1).exists()


def test_a_student_of_all_faces_is_refused(world):
    child_of(parent_of(experiment()))
    with pytest.raises(CacheError, match=r"faces.identities is 3 in the cache and 7 now"):
        train(experiment(cache={"path": "caches/small"}), Path("data"), torch.device("cpu"), 1)


def test_a_subset_of_a_subset_counts_by_the_whole(world):
    child = child_of(parent_of(experiment(views=ADAFACE)))
    source = open_faces(small(views=ADAFACE), Path("data"))
    smaller = cut_out(child, source, np.array([2]), Path("caches/smaller"))
    assert smaller.samples.tolist() == list(range(25, 30))
    assert smaller.people == ["identity 5"]
    again = pickle.loads(pickle.dumps(smaller))  # noqa: S301
    assert replay(TeacherCache("caches/smaller"), again, TinyTeacher(), 20).faults() == []


def test_the_command_takes_people_of_many_faces_and_then_all_others(world):
    people = [faces[: 2 + number] for number, faces in enumerate(jpegs(4, 5))]
    write_recordio_dataset(Path("data/faces"), people)
    parent_of(experiment())
    Path("small.toml").write_text(toml_of(experiment()))
    for out, choice in (("busy", ["--at-least", "4"]), ("others", ["--rest-of", "caches/busy"])):
        arguments = ["subset", "--config", "small.toml", "--data", "data", "--out", f"caches/{out}", *choice]
        done = CliRunner().invoke(main, arguments)
        assert done.exit_code == 0, done.output
    assert [TeacherCache(f"caches/{name}").counts.tolist() for name in ("busy", "others")] == [[4, 5], [2, 3]]


def test_pictures_that_were_skipped_stay_skipped(world):
    people = jpegs(4, 4)
    people[2][1] = b"no jpeg at all"
    write_recordio_dataset(Path("data/faces"), people)
    child = child_of(parent_of(experiment(cache={"on_bad_image": "skip"})), np.array([0, 2]))
    assert child.skipped.tolist() == [5]
    assert child.counts.tolist() == [4, 3]


def test_a_changed_selection_is_found(world):
    child = child_of(parent_of(experiment()))
    file = child.path / "ledger/subset.json"
    file.write_text(file.read_text().replace("29", "30"))
    assert any("subset.json" in fault for fault in check_store(child.path))
    other = open_faces(small(), Path("data"))
    with pytest.raises(CacheError, match=r"faces\.fingerprint"):
        child.require(describe_faces(other), child.manifest["views"], child.manifest["decoder"])


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("{", "damaged"),
        ('{"parent": "", "faces": {"samples": 35, "identities": 7}, "samples": [3, 3]}', "do not rise"),
        (
            '{"parent": "", "faces": {"samples": 35, "identities": 7}, "samples": [3, 35]}',
            r"sample 35 is not in 0\.\.34",
        ),
        ('{"parent": "", "faces": {"samples": 35, "identities": 7}, "samples": []}', r"damaged at samples"),
        (
            '{"parent": "", "faces": {"samples": 36, "identities": 7}, "samples": [3]}',
            "selects from 36 samples of 7 people, .* has 35",
        ),
        ('{"parent": "", "faces": {"samples": "35", "identities": 7}, "samples": [3]}', r"damaged at faces\.samples"),
        ('{"parent": "", "faces": {"samples": 35, "identities": 7}, "samples": [3], "x": 1}', "damaged at x"),
        ('{"parent": "", "faces": {"samples": 35, "identities": 7}, "samples": [1e99]}', r"damaged at samples\.0"),
    ],
)
def test_a_selection_that_does_not_fit_is_refused(world, text, match):
    Path("ledger").mkdir()
    Path("ledger/subset.json").write_text(text)
    with pytest.raises(DataError, match=match):
        SubsetSource.open(Path("."), open_source("data/faces"))


def folders(parent: str) -> list[str]:
    return sorted(p.name for p in Path(parent).iterdir() if p.is_dir())


def test_a_folder_in_the_way_and_other_faces_are_refused_and_leave_nothing(world):
    parent = parent_of(experiment())
    child_of(parent)
    with pytest.raises(CacheError, match="caches/small: exists"):
        child_of(parent)
    write_faces(Path("data/faces"), 7, 4)
    with pytest.raises(CacheError, match=r"faces.samples is 35 in the cache and 28 now"):
        cut_out(parent, open_source("data/faces"), CHOSEN, Path("caches/other"))
    assert folders("caches") == ["small", "tiny"]


def test_a_damaged_subset_is_repaired_to_the_same_bytes(world):
    child = child_of(parent_of(experiment(views=ADAFACE)))
    whole = tree(child.path)
    (child.path / "embedding/c/2/1/0").write_bytes(b"gone")
    config = small(views=ADAFACE)
    source = open_faces(config, Path("data"))
    assert drop_damaged(child.path, source) == 1
    assert tree(build(config, source, TinyTeacher(), threads=1, quiet=True)) == whole


def test_a_kill_leaves_nothing_under_the_name(world, monkeypatch):
    parent = parent_of(experiment())
    monkeypatch.setattr("cache.subset.seal", lambda path: (_ for _ in ()).throw(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        child_of(parent)
    assert folders("caches") == ["tiny"]


def test_samples_of_people_nest_and_depend_on_the_seed_alone():
    small_one, large = sampled_people(1000, 50, 3), sampled_people(1000, 200, 3)
    assert len(np.unique(small_one)) == 50
    assert np.isin(small_one, large).all()
    assert np.array_equal(small_one, sampled_people(1000, 50, 3))
    assert not np.array_equal(small_one, sampled_people(1000, 50, 4))


def test_people_are_named_by_name_or_number(tmp_path):
    file = tmp_path / "people.txt"
    file.write_text("Bo\n\n 0 \nBo\n")
    assert named_people(file, ["Ada", "Bo", "Cy"]).tolist() == [0, 1]
    file.write_text("Ada\nDora\n")
    with pytest.raises(DataError, match=r"people.txt:2: 'Dora' is nobody's name"):
        named_people(file, ["Ada", "Bo", "Cy"])


def test_the_command_says_how_to_train_from_it(world):
    parent_of(experiment())
    Path("tiny.toml").write_text(toml_of(experiment()))
    arguments = ["subset", "--config", "tiny.toml", "--out", "caches/two"]
    result = CliRunner().invoke(main, [*arguments, "--first", "2"])
    assert result.exit_code == 0, result.output
    assert "10 faces of 2 people" in result.output
    assert json.loads(Path("caches/two/ledger/subset.json").read_text())["samples"] == list(range(10))
    told = result.output.splitlines()[-2:]
    Path("two.toml").write_text("\n".join(['extends = "tiny.toml"', *told]))
    assert CliRunner().invoke(main, ["verify", "--config", "two.toml"]).exit_code == 0
    result = CliRunner().invoke(main, [*arguments, "--first", "2", "--sample", "3"])
    assert result.exit_code == 2
    assert "by one of --people, --first, --sample, --at-least and --rest-of" in result.output
