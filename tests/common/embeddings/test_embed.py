"""Embedding a set: convention, order, and clear refusals."""

import cv2
import numpy as np
import pytest

from common.embeddings import embed_faces, embed_with_norms
from common.errors import DataError
from common.faces.pixels import decode_rgb
from tests.evaluate.stand_ins import Linear


@pytest.fixture
def faces():
    return np.random.default_rng(1).integers(0, 256, (11, 8, 8, 3), np.uint8)


def png(face):
    return cv2.imencode(".png", face[:, :, ::-1])[1].tobytes()


def test_the_mirror_image_is_added_and_norms_are_of_single_embeddings(faces):
    model = Linear()
    plain, mirrored = model.embed(faces), model.embed(faces[:, :, ::-1])
    embedded = embed_with_norms(model, faces, batch_size=4)
    np.testing.assert_allclose(embedded.rows, plain + mirrored, rtol=1e-5, atol=1e-3)
    expected = (np.linalg.norm(plain, axis=1) + np.linalg.norm(mirrored, axis=1)) / 2
    np.testing.assert_allclose(embedded.norms, expected, rtol=1e-5)
    assert embedded.xnorm == pytest.approx(expected.mean())


@pytest.mark.parametrize("batch_size", [1, 4, 11, 100])
@pytest.mark.parametrize("flip", [True, False])
def test_encoded_pictures_and_pixels_give_the_same_rows_in_order_for_any_batch_size(faces, batch_size, flip):
    pictures = [png(face) for face in faces]
    assert np.array_equal(decode_rgb(pictures[0], ""), faces[0])
    seen = []
    model = Linear()
    rows = embed_faces(model, pictures, batch_size, flip, progress=seen.append, workers=3)
    whole = model.embed(faces) + (model.embed(faces[:, :, ::-1]) if flip else 0)
    np.testing.assert_allclose(rows, whole, rtol=1e-5, atol=1e-3)
    assert rows.dtype == np.float32
    assert sum(seen) == len(faces)


def test_mirror_images_share_the_batch(faces):
    model = Linear()
    embed_faces(model, faces, batch_size=4)
    assert model.batches == [8, 8, 6]


def test_a_picture_that_does_not_decode_is_named(faces):
    pictures = [png(face) for face in faces]
    pictures[6] = b"\xff\xd8\xff not really \xff\xd9"
    with pytest.raises(DataError, match="lfw 6"):
        embed_faces(Linear(), pictures, batch_size=4, name="lfw")


def test_pictures_of_different_sizes_are_refused(faces):
    with pytest.raises(DataError, match="different sizes"):
        embed_faces(Linear(), [png(faces[0]), png(faces[1][:4])])


def test_no_faces_and_wrong_arrays_are_refused(faces):
    with pytest.raises(DataError, match="no faces"):
        embed_faces(Linear(), [])
    with pytest.raises(DataError, match="uint8"):
        embed_faces(Linear(), faces.astype(np.float32))


def test_a_model_that_gives_nan_is_refused(faces):
    class Broken(Linear):
        def embed(self, faces):
            return super().embed(faces) * np.nan

    with pytest.raises(DataError, match="NaN"):
        embed_faces(Broken(), faces)
