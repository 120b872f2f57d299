"""Rendered faces, batch by batch: source -> decode -> view, a few batches ahead of the teacher.

A picture that does not decode ends the build, or is left out of it (`cache.on_bad_image`).
"""

import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from cache.format import Unit
from common.errors import DataError
from common.faces import FaceSource, Views, pixel_digest, refuse_mixed_sizes, shown_face

BATCHES_AHEAD = 2


@dataclass(frozen=True)
class Batch:
    """Rows [start, stop) of one unit, B of them, K of which have a picture.

    faces: uint8 (K,H,W,3) RGB, (0,) when K is 0. kept: bool (B,), which rows these are. pixels, picture: uint32 (B,),
    CRC-32 of the rendered and of the encoded bytes, 0 where there are none. skipped: sample -> why it has no picture.
    """

    unit: Unit
    start: int
    stop: int
    faces: np.ndarray
    kept: np.ndarray
    pixels: np.ndarray
    picture: np.ndarray
    skipped: dict[int, str]


def rendered(
    units: Iterable[Unit], source: FaceSource, views: Views, batch_size: int, workers: int, skip: bool
) -> Iterator[Batch]:
    """Batches of all units in order; a batch never crosses a unit. skip: leave out pictures that do not decode.

    A unit is asked for when its first batch is about to be decoded.

    workers: threads that decode ahead, 0 for none. Raises DataError for a picture that does not decode (unless skip),
    a file that cannot be read, or a face of another size than those before it.
    """
    spans = (
        (unit, start, min(start + batch_size, unit.stop))
        for unit in units
        for start in range(unit.start, unit.stop, batch_size)
    )

    def render(unit: Unit, start: int, stop: int) -> Batch:
        return render_batch(source, views, unit, start, stop, skip)

    if workers == 0:
        yield from _of_one_size((render(*span) for span in spans), source)
        return
    yield from _of_one_size(_ahead(render, spans, workers), source)


def _of_one_size(batches: Iterator[Batch], source: FaceSource) -> Iterator[Batch]:
    """The batches as they come; faces of one batch agree already, so one of each is compared."""
    first: dict[int, np.ndarray] = {}
    for batch in batches:
        if len(batch.faces):
            sample = batch.start + int(batch.kept.argmax())
            first = first or {sample: batch.faces[0]}
            refuse_mixed_sizes({**first, sample: batch.faces[0]}, source.name)
        yield batch


def _ahead(render: Callable[..., Batch], spans: Iterable[tuple[Unit, int, int]], workers: int) -> Iterator[Batch]:
    with ThreadPoolExecutor(workers) as pool:
        ahead: list[Future[Batch]] = []
        try:
            for span in spans:
                ahead.append(pool.submit(render, *span))
                if len(ahead) > workers + BATCHES_AHEAD:
                    yield ahead.pop(0).result()
            while ahead:
                yield ahead.pop(0).result()
        finally:
            for future in ahead:
                future.cancel()


def render_batch(source: FaceSource, views: Views, unit: Unit, start: int, stop: int, skip: bool) -> Batch:
    """Decode and render rows [start, stop) of a unit, see `rendered`."""
    faces: dict[int, np.ndarray] = {}
    picture = np.zeros(stop - start, np.uint32)
    skipped: dict[int, str] = {}
    for sample in range(start, stop):
        try:
            jpeg = source.jpeg(sample)
            picture[sample - start] = zlib.crc32(jpeg)
            faces[sample] = shown_face(source, views, sample, unit.view, source.decode(jpeg, sample))
        except DataError as error:
            # A file that cannot be read says nothing about the picture: the disk may be back tomorrow.
            if isinstance(error.__cause__, OSError):
                raise
            if not skip:
                raise DataError(f'{error}; or leave such pictures out: cache.on_bad_image = "skip"') from None
            skipped[sample] = str(error).replace(f"{source.path}/", "")
    refuse_mixed_sizes(faces, source.name)
    kept = np.array([sample in faces for sample in range(start, stop)])
    pixels = np.zeros(stop - start, np.uint32)
    pixels[kept] = [pixel_digest(face) for face in faces.values()]
    stacked = np.stack(list(faces.values())) if faces else np.empty(0, np.uint8)
    return Batch(unit, start, stop, stacked, kept, pixels, picture, skipped)
