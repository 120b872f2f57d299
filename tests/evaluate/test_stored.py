"""Embeddings on disk: what is kept comes back, by plain readers too; what is damaged is refused."""

import random
import shutil

import numpy as np
import pytest
import zarr

from common.embeddings import Embeddings
from common.errors import DataError, UserError
from evaluate.stored import EmbeddingStore, StoredEmbeddings, load_embeddings


def some(rows=7, dim=3, seed=0, named=False):
    rows = np.random.default_rng(seed).standard_normal((rows, dim)).astype(np.float32)
    names = tuple(f"face {row} \u00e9" for row in range(len(rows))) if named else None
    return Embeddings(rows, np.linalg.norm(rows, axis=1).astype(np.float32), names)


def same(loaded, kept, flip):
    embedded, flipped = loaded
    arrays = ((embedded.rows, kept.rows), (embedded.norms, kept.norms))
    return flipped is flip and embedded.names == kept.names and all(np.array_equal(*pair) for pair in arrays)


@pytest.mark.parametrize("format", ["npz", "zarr"])
@pytest.mark.parametrize("flip", [True, False])
def test_what_is_kept_comes_back_and_a_second_saving_takes_its_place(tmp_path, format, flip):
    store = EmbeddingStore.at(tmp_path / "kept", format)
    store.save("model", "lfw", some(seed=1), not flip)
    store.save("model", "lfw", some(named=flip), flip)
    store.save("model", "tinyface_0.1", some(rows=2), True)
    assert StoredEmbeddings.lie_in(tmp_path / "kept/model")
    assert not StoredEmbeddings.lie_in(tmp_path / "kept")
    kept = StoredEmbeddings(tmp_path / "kept/model")
    assert same(kept.of("lfw"), some(named=flip), flip)
    assert same(kept.of("tinyface_0.1"), some(rows=2), True)
    assert not [path for path in tmp_path.rglob("*") if path.suffix in (".tmp", ".creating")]


def test_a_zarr_store_is_one_hierarchy_for_any_zarr_client(tmp_path):
    EmbeddingStore.at(tmp_path / "x.zarr").save("model", "lfw", some(), True)
    group = zarr.open_group(tmp_path / "x.zarr", mode="r")["model/lfw"]
    assert np.array_equal(group["rows"][:], some().rows)
    assert np.array_equal(group["norms"][:], some().norms)
    assert group.attrs["flip"] is True
    with pytest.raises(UserError, match=r"leave out --format"):
        EmbeddingStore.at(tmp_path / "x.zarr", "npz")


@pytest.mark.parametrize("format", ["npz", "zarr"])
def test_one_flipped_bit_anywhere_is_refused_or_changes_nothing(tmp_path, format):
    EmbeddingStore.at(tmp_path, format).save("model", "lfw", some(named=True), True)
    path = StoredEmbeddings(tmp_path / "model").path("lfw")
    rng = random.Random(format)
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_dir():
            continue
        whole, refused = file.read_bytes(), 0
        for place in rng.sample(range(len(whole)), min(len(whole), 60)):
            damaged = bytearray(whole)
            damaged[place] ^= 1 << rng.randrange(8)
            file.write_bytes(damaged)
            try:
                assert same(load_embeddings(path), some(named=True), True)
            except DataError as error:
                refused += str(path) in str(error)
        assert refused > 5, file
        file.write_bytes(whole)


def test_a_truncated_or_missing_part_is_refused(tmp_path):
    for format in ("npz", "zarr"):
        EmbeddingStore.at(tmp_path / format, format).save("m", "lfw", some(), True)
    npz = tmp_path / "npz/m/lfw.npz"
    whole = npz.read_bytes()
    for length in (0, 30, len(whole) // 2, len(whole) - 5):
        npz.write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"lfw\.npz"):
            load_embeddings(npz)
    group = tmp_path / "zarr/m/lfw"
    for part in [path for path in sorted(group.rglob("*")) if path.is_file()]:
        copy = tmp_path / "copy"
        shutil.copytree(group, copy)
        (copy / part.relative_to(group)).unlink()
        with pytest.raises(DataError, match="copy"):
            load_embeddings(copy)
        (copy / part.relative_to(group)).write_bytes(part.read_bytes()[:-3])
        with pytest.raises(DataError, match="copy"):
            load_embeddings(copy)
        shutil.rmtree(copy)


@pytest.mark.parametrize("format", ["npz", "zarr"])
@pytest.mark.parametrize("field", ["rows", "norms"])
def test_numbers_that_are_not_finite_are_refused(tmp_path, format, field):
    wrong = some()
    getattr(wrong, field)[2] = np.nan
    EmbeddingStore.at(tmp_path, format).save("m", "lfw", wrong, True)
    with pytest.raises(DataError, match="NaN or infinity"):
        StoredEmbeddings(tmp_path / "m").of("lfw")


def test_files_that_ask_for_more_memory_than_they_have_bytes_are_refused(tmp_path):
    np.savez_compressed(tmp_path / "bomb.npz", rows=np.zeros((100_000, 64), np.float32))
    with pytest.raises(DataError, match=r"rows\.npy is compressed"):
        load_embeddings(tmp_path / "bomb.npz")
    about = {"flip": True, "sha256": "0" * 64}
    group = zarr.create_group(tmp_path / "bomb", attributes=about)
    group.create_array("rows", shape=(1 << 40, 512), dtype="float32", chunks=(1 << 20, 512))
    group.create_array("norms", shape=(1 << 40,), dtype="float32", chunks=(1 << 20,))
    with pytest.raises(DataError, match="claims 2,251,799,813,685,248 bytes"):
        load_embeddings(tmp_path / "bomb")
    for number, options in enumerate(({"compressors": "auto"}, {"compressors": None, "chunks": (4, 3)})):
        group = zarr.create_group(tmp_path / f"other-{number}", attributes=about)
        group.create_array("rows", data=some().rows, **options)
        group.create_array("norms", data=some().norms, compressors=None)
        with pytest.raises(DataError, match=rf"other-{number}: /rows is not one plain chunk"):
            load_embeddings(tmp_path / f"other-{number}")


def test_arrays_of_other_shapes_are_refused(tmp_path):
    np.savez(tmp_path / "flat.npz", rows=np.zeros(5, np.float32), norms=np.zeros(5, np.float32), flip=np.array(True))
    np.savez(tmp_path / "other.npz", embeddings=np.zeros((5, 2), np.float32))
    for name in ("flat", "other"):
        with pytest.raises(DataError, match=rf"{name}\.npz"):
            load_embeddings(tmp_path / f"{name}.npz")
