"""The demo's faces in the formats of the real ones: faces_emore RecordIO to train on, a `.bin` to verify on.

    make_data(Path("data/demo"), seed=0)

People are numbered, and nobody is in two sets: every demo seed has its own thousands, the teacher's people come
after all of them, and within a seed the training and the verification people do not overlap.
"""

import multiprocessing
import shutil
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from common.faces import encode_jpeg, write_bin, write_recordio_dataset
from demo.faces import render_face

IDENTITIES, PHOTOS = 600, 5
PAIRS = 1200
FOLDS = 10
PEOPLE_A_SEED = 10_000
FIRST_TEACHER_PERSON = 1_000_000
JPEG_QUALITY = 95
PROCESSES = 2


def make_data(
    folder: Path, seed: int = 0, identities: int = IDENTITIES, photos: int = PHOTOS, pairs: int = PAIRS
) -> None:
    """Write train.rec, train.idx, property and unseen.bin into `folder`, whole or not at all; files there are replaced.

    Raises:
        ValueError: more people than a seed has, or pairs that cannot be balanced over the folds.
    """
    trained, unseen = demo_people(seed, identities, pairs)
    unfinished = folder.with_name(folder.name + ".part")
    shutil.rmtree(unfinished, ignore_errors=True)
    write_people(unfinished, trained, photos)
    write_pairs(unfinished / "unseen.bin", unseen)
    shutil.rmtree(folder, ignore_errors=True)
    unfinished.rename(folder)


def demo_people(seed: int, identities: int, pairs: int) -> tuple[range, range]:
    """Numbers of the people to train on and of those to verify on (four photos and four pairs each)."""
    if pairs % (4 * FOLDS) or pairs < 8 * FOLDS:
        raise ValueError(f"{pairs} pairs: {FOLDS} balanced folds take a multiple of {4 * FOLDS}, from {8 * FOLDS}")
    first = seed * PEOPLE_A_SEED
    unseen = first + PEOPLE_A_SEED - pairs // 4
    if not 0 < identities <= unseen - first or not 0 <= first < FIRST_TEACHER_PERSON:
        raise ValueError(f"seed {seed} with {identities} identities and {pairs} pairs: there are not so many people")
    return range(first, first + identities), range(unseen, first + PEOPLE_A_SEED)


def write_people(folder: Path, people: Sequence[int], photos: int) -> None:
    """A training set of `photos` pictures of each of these people, in the faces_emore layout."""
    write_recordio_dataset(folder, _pictures(people, photos))


def write_pairs(path: Path, people: Sequence[int]) -> None:
    """A `.bin` with two pairs of the same and two of different people for everyone, from four photos each.

    Ten consecutive blocks of pairs hold different people each, half of the pairs same, so that folds in file order
    are balanced and independent. Within a block a person's k-th photo meets the next person's k-th but one.
    """
    blocks = np.array_split(np.array(people), FOLDS)
    pictures = iter(_pictures(people, 4))
    jpegs: list[bytes] = []
    issame: list[bool] = []
    for block in blocks:
        album = [next(pictures) for _ in block]
        for mine, other in zip(album, [*album[1:], album[0]], strict=True):
            jpegs += [mine[0], mine[1], mine[2], mine[3], mine[0], other[1], mine[2], other[3]]
            issame += [True, True, False, False]
    write_bin(path, jpegs, issame)


def _pictures(people: Sequence[int], photos: int) -> Iterator[list[bytes]]:
    """The encoded pictures of each person, in order, made by a few processes.

    Spawned, not forked: a fork of a process in which OpenCV or torch has threads may wait for them for ever.
    """
    with multiprocessing.get_context("spawn").Pool(PROCESSES, cv2.setNumThreads, (1,)) as pool:
        yield from pool.imap(partial(album, photos=photos), map(int, people), chunksize=4)


def album(person: int, photos: int) -> list[bytes]:
    """JPEGs of a person's first `photos` photos."""
    return [encode_jpeg(render_face(person, photo), JPEG_QUALITY) for photo in range(photos)]
