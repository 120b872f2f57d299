"""Procedural faces are pure functions of (person, photo), aligned, and recognisable by more than their colours."""

import multiprocessing
from pathlib import Path

import cv2
import numpy as np
import pytest

from common.config import ModelConfig
from common.models.face_model import open_model
from demo.faces import SIZE, TEMPLATE, alignment, project, render_face
from demo.identity import draw_identity
from demo.photo import draw_photo
from demo.relief import head_relief, height_at, rotation
from demo.teacher import WEIGHTS

PEOPLE, PHOTOS = 25, 4


@pytest.fixture(scope="module")
def faces() -> np.ndarray:
    """uint8 (people, photos, 112, 112, 3) of people who are in no other set."""
    return np.stack([[render_face(9_000_000 + person, photo) for photo in range(PHOTOS)] for person in range(PEOPLE)])


def nearest_is_same_person(features: np.ndarray) -> float:
    """Share of the photos whose most similar other photo, by cosine, shows the same person."""
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    similarity = unit @ unit.T
    np.fill_diagonal(similarity, -np.inf)
    person = np.arange(PEOPLE * PHOTOS) // PHOTOS
    return float((person[similarity.argmax(1)] == person).mean())


def test_a_face_is_an_aligned_photo_sized_rgb_picture(faces):
    assert faces.shape[2:] == (SIZE, SIZE, 3)
    assert faces.dtype == np.uint8
    assert faces.std(axis=(2, 3, 4)).min() > 5


def test_pixels_do_not_depend_on_order_or_process(faces):
    pairs = [(9_000_000 + person, photo) for person in (7, 0, 3) for photo in (2, 0)]
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        elsewhere = pool.starmap(render_face, pairs)
    for (person, photo), pixels in zip(pairs, elsewhere, strict=True):
        np.testing.assert_array_equal(pixels, faces[person - 9_000_000, photo])


def test_photos_and_people_all_differ(faces):
    pictures = faces.reshape(PEOPLE * PHOTOS, -1)
    assert len(np.unique(pictures, axis=0)) == PEOPLE * PHOTOS


def test_landmarks_lie_near_the_alignment_template():
    distances = []
    for person in range(40):
        who, how = draw_identity(person), draw_photo(person, 0)
        relief, turn = head_relief(who), rotation(how.yaw, how.pitch)
        to_image = alignment(who, how, relief, turn)
        eyes = np.array([(-who.eye_gap, who.eye_height), (who.eye_gap, who.eye_height)])
        seen = project(eyes, height_at(relief, eyes), turn) @ to_image[:, :2].T + to_image[:, 2]
        distances.append(np.linalg.norm(seen - TEMPLATE[:2], axis=1))
    assert np.median(distances) < 5
    assert np.max(distances) < 22


def test_the_teacher_recognises_new_people_and_colours_alone_do_not(faces):
    pictures = faces.reshape(-1, SIZE, SIZE, 3)
    model = open_model(ModelConfig(weights=str(WEIGHTS)), root=Path())
    embeddings = model.embed(pictures) + model.embed(np.ascontiguousarray(pictures[:, :, ::-1]))
    histograms = np.stack([cv2.calcHist([rgb], [0, 1, 2], None, [6] * 3, [0, 256] * 3).ravel() for rgb in pictures])
    assert nearest_is_same_person(embeddings) > 0.7
    assert nearest_is_same_person(histograms) < 0.4
