"""Files with random damage: whatever a reader says, it says it as our own error, and it runs nothing.

The quick version goes through a hundred or so mutations of each kind; the slow one through more than 10,000 in all.
Arrow files are read in a process of its own, because a mistake there would not be an exception but a crash.
"""

import io
import multiprocessing
import pickle
import random

import numpy as np
import pytest
import torch

from common.embeddings import Embeddings
from common.errors import UserError
from common.faces.evaluation_sets import write_arrow
from evaluate.files.arrow import ArrowFaces
from evaluate.files.binfile import load_bin
from evaluate.files.metadata import read_metadata
from evaluate.protocols.templates import evaluate_templates
from evaluate.protocols.tinyface import evaluate_tinyface
from evaluate.stored import EmbeddingStore, load_embeddings, save_embeddings
from tests.evaluate.files.test_binfile import BOOLS, ISSAME, PICTURES, py2_array, py2_bool, py2_file, py2_string

QUICK, SLOW = 120, 2200


def mutated(content: bytes, rng: random.Random) -> bytes:
    """A few random edits: bytes changed, cut out, doubled, swapped for interesting ones, or the end cut off."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 4, 12))):
        if not data:
            break
        # The structure is at the two ends and between pictures; a pickle's opcodes are most of a small file.
        place = (
            rng.randrange(len(data)) if rng.random() < 0.6 else rng.choice((-1, 1)) * rng.randrange(min(len(data), 120))
        )
        kind = rng.randrange(6)
        if kind == 0:
            data[place] ^= 1 << rng.randrange(8)
        elif kind == 1:
            data[place] = rng.choice(b"\x00\xff\x7f\x80.(]}aebRcquhrtN\x93\x94\x8e\x96\x85\x86\x87")
        elif kind == 2:
            length = rng.choice((1, 2, 4, 8, 64))
            del data[place : place + length if place >= 0 else None]
        elif kind == 3:
            data[place:place] = data[place : place + rng.choice((1, 2, 8, 300))]
        elif kind == 4:
            data[place:place] = rng.choice(
                (
                    b"\xff\xff\xff\xff",
                    b"\x00" * 8,
                    b"c__builtin__\neval\n",
                    b"cnumpy\nload\n",
                    b"\x8c\x02os\x8c\x06system\x93",
                    b"R",
                )
            )
        else:
            del data[rng.randrange(len(data)) :]
    return bytes(data)


def bin_seeds(folder):
    arrays = [np.frombuffer(picture, np.uint8) for picture in PICTURES]
    return [
        pickle.dumps((PICTURES, ISSAME), 2),
        pickle.dumps((PICTURES, [np.bool_(same) for same in ISSAME]), 4),
        pickle.dumps((arrays, np.array(ISSAME)), 5),
        py2_file([py2_string(picture) for picture in PICTURES], BOOLS),
        py2_file([py2_array(picture, True) for picture in PICTURES], [py2_bool(same) for same in ISSAME]),
    ]


def metadata_seeds(folder):
    numbers = {"templates": np.arange(9), "faceness_scores": np.ones(9, np.float32), "label": [0, 1, 1]}
    texts = {"image_paths": np.array(["a/1_1.png", "b/2_1.png"], object), "probe_paths": np.array(["1_1", "2_2"])}
    contents = []
    for content, options in (
        (numbers, {}),
        (texts, {}),
        ({name: torch.tensor(column) for name, column in numbers.items()}, {}),
        (numbers | texts, {"_use_new_zipfile_serialization": False}),
    ):
        file = io.BytesIO()
        torch.save(content, file, **options)
        contents.append(file.getvalue())
    return contents


def npz_seeds(folder):
    save_embeddings(folder / "seed.npz", Embeddings(np.ones((5, 4), np.float32), np.ones(5, np.float32)), True)
    return [(folder / "seed.npz").read_bytes()]


def one_line(error: UserError) -> bool:
    """True; a message of several lines would break the promise of one line an error."""
    if "\n" in str(error):
        raise AssertionError(str(error))
    return True


def read_all(read, seeds, suffix, folder, count):
    """Read `count` mutations of the seeds; how many were refused. Anything but our own error is a failure."""
    rng = random.Random(f"{suffix}{count}")
    path, refused = folder / f"mutant{suffix}", 0
    for number in range(count):
        content = mutated(rng.choice(seeds), rng)
        path.write_bytes(content)
        try:
            read(path)
        except UserError as error:
            refused += one_line(error)
        except BaseException as error:
            raise AssertionError(f"mutation {number}: {type(error).__name__}: {error}; {content[:300]!r}") from error
    return refused


READERS = {".bin": (load_bin, bin_seeds), ".pt": (read_metadata, metadata_seeds), ".npz": (load_embeddings, npz_seeds)}


@pytest.mark.parametrize("suffix", READERS)
@pytest.mark.parametrize("count", [QUICK, pytest.param(SLOW, marks=pytest.mark.slow)])
@pytest.mark.filterwarnings("ignore")
def test_a_mutated_file_is_read_or_refused_by_our_own_error(tmp_path, monkeypatch, suffix, count):
    monkeypatch.chdir(tmp_path)
    read, make_seeds = READERS[suffix]
    refused = read_all(read, make_seeds(tmp_path), suffix, tmp_path, count)
    assert refused > count // 10
    assert {path.suffix for path in tmp_path.iterdir()} <= {suffix}


def arrow_work(folder, count, refused):
    """In a process of its own: mutate one shard or the state file of a set, and read all of it."""
    rng = random.Random(count)
    shard, state = next(folder.glob("*.arrow")), folder / "state.json"
    whole = {shard: shard.read_bytes(), state: state.read_bytes()}

    def read(path):
        faces = ArrowFaces(folder)
        assert all(isinstance(picture, bytes) for picture in faces[:])

    for _ in range(count):
        changed = shard if rng.random() < 0.85 else state
        for path, content in whole.items():
            # A new file each time: the old one may still be mapped.
            path.unlink(missing_ok=True)
            path.write_bytes(mutated(content, rng) if path == changed else content)
        try:
            read(folder)
        except UserError as error:
            refused.value += one_line(error)


@pytest.mark.parametrize("count", [QUICK, pytest.param(SLOW, marks=pytest.mark.slow)])
def test_a_mutated_arrow_set_is_read_or_refused_and_crashes_nothing(tmp_path, count):
    write_arrow(tmp_path / "set", PICTURES * 2, 2 * len(PICTURES))
    context = multiprocessing.get_context("fork")
    refused = context.Value("i", 0)
    worker = context.Process(target=arrow_work, args=(tmp_path / "set", count, refused))
    worker.start()
    worker.join(600)
    assert worker.exitcode == 0
    assert refused.value > count // 10


@pytest.mark.parametrize("count", [QUICK // 2, pytest.param(SLOW, marks=pytest.mark.slow)])
@pytest.mark.filterwarnings("ignore")
def test_mutated_protocols_are_measured_or_refused_by_our_own_error(golden, count):
    ijb = dict(np.load(golden / "ijb/synthetic_in.npz"))
    ijb = {name: column[:300] for name, column in ijb.items()}
    tiny = dict(np.load(golden / "tinyface/synthetic_in.npz"))
    tiny = {name: column[:200] for name, column in tiny.items()}
    rng = np.random.default_rng(count)
    refused = 0
    for number in range(count):
        protocol, rows = (ijb, "embeddings") if number % 2 else (tiny, "features")
        changed = {name: np.array(column) for name, column in protocol.items()}
        for _ in range(rng.integers(1, 4)):
            name = rng.choice(list(changed))
            if (column := mutated_column(changed[name], rng)) is None:
                del changed[name]
            else:
                changed[name] = column
            if not changed:
                break
        try:
            embeddings = changed.pop(rows, np.zeros((0, 3), np.float32))
            (evaluate_templates if number % 2 else evaluate_tinyface)(embeddings, changed)
        except UserError:
            refused += 1
    assert refused > count // 4


def mutated_column(column, rng):
    kind = rng.integers(7)
    if kind == 0:
        return None
    if kind == 1:
        return column[: rng.integers(0, len(column) + 1)]
    if kind == 2:
        return column[rng.integers(0, max(len(column), 1), len(column))]
    if kind == 3:
        return column.astype(str) if column.ndim == 1 else column[:, :0]
    if kind == 4 and column.dtype.kind == "f" and column.size:
        column.ravel()[rng.integers(column.size)] = rng.choice([np.nan, np.inf, 0, 1e38])
    elif column.dtype.kind == "i" and column.size:
        column.ravel()[rng.integers(column.size)] = rng.choice([-1, 0, 2**62, -(2**62), 5])
    elif column.dtype.kind == "U" and column.size:
        column.ravel()[rng.integers(column.size)] = rng.choice(["", "_", "x_1", "-_2", "9" * 30, "/", "²_1"])
    return column if kind != 6 else column[None]


@pytest.mark.parametrize("count", [QUICK // 2, pytest.param(SLOW // 2, marks=pytest.mark.slow)])
@pytest.mark.filterwarnings("ignore")
def test_zarr_embeddings_with_damage_in_any_file_are_what_they_were_or_refused(tmp_path, count):
    rows = np.arange(12, dtype=np.float32).reshape(4, 3)
    EmbeddingStore(tmp_path, "zarr").save("m", "lfw", Embeddings(rows, np.ones(4, np.float32)), True)
    whole = {path: path.read_bytes() for path in sorted((tmp_path / "m/lfw").rglob("*")) if path.is_file()}
    rng, refused = random.Random(count), 0
    for _ in range(count):
        path = rng.choice(list(whole))
        path.write_bytes(mutated(whole[path], rng))
        try:
            assert np.array_equal(load_embeddings(tmp_path / "m/lfw")[0].rows, rows)
        except UserError as error:
            refused += one_line(error)
        path.write_bytes(whole[path])
    assert refused > count // 2
