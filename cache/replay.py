"""Would the same inputs still give the same cache? Some (sample, view) pairs are read, decoded, rendered and embedded
again; the first of these steps whose result is no longer what it was is named.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from cache.reader import TeacherCache
from common.errors import DataError
from common.faces import FaceSource, Views, decoder_version, pixel_digest, shown_face, words
from common.models import FaceModel

STREAM_REPLAY = 3
# Cosine of a stored and a fresh embedding: float16 rounding leaves 1e-6, int8 1e-4, other machines' convolutions 1e-5.
TOLERANCE = 1e-3
BATCH = 32


@dataclass
class Replay:
    """What going through some pairs again gave; each list holds (sample, view) pairs.

    data: the encoded picture is another one. decoder, views: it is the same, but decoded and rendered it is not, by
    another decoder than the cache's or by the same. teacher: on the same pixels the teacher answers otherwise.
    cosine: float32 (n,) of stored and fresh embeddings of the pairs whose
    pixels agree.
    """

    pairs: int
    decoders: tuple[str, str]
    data: list[tuple[int, int]] = field(default_factory=list)
    decoder: list[tuple[int, int]] = field(default_factory=list)
    views: list[tuple[int, int]] = field(default_factory=list)
    teacher: list[tuple[int, int]] = field(default_factory=list)
    cosine: np.ndarray = field(default_factory=lambda: np.empty(0, np.float32))

    def faults(self) -> list[str]:
        """One line for each input that changed."""
        return list(self._faults())

    def _faults(self) -> Iterator[str]:
        was, now = self.decoders
        cosine = f"cosine with the cache down to {self.cosine.min(initial=1):.4f}"
        for changed, pairs, what in (
            ("data", self.data, "the encoded pictures are not those the teacher saw"),
            ("decoder", self.decoder, f"the same pictures decode to other pixels; it was {was!r} and is now {now!r}"),
            ("views", self.views, "other pixels are rendered from the same pictures by the same decoder"),
            (
                "teacher",
                self.teacher,
                f"other embeddings of the same pixels, {cosine}",
            ),
        ):
            if pairs:
                some = f"{len(pairs)} of {self.pairs} faces, such as sample {pairs[0][0]} view {pairs[0][1]}"
                yield f"{changed} changed: {some}: {what}"


def replay(cache: TeacherCache, source: FaceSource, teacher: FaceModel, pairs: int, seed: int = 0) -> Replay:
    """Go through `pairs` random (sample, view) pairs again, from the encoded picture to the teacher's answer."""
    draw = words(seed, STREAM_REPLAY, np.arange(pairs), 0).astype(np.int64)
    samples, shown = draw[:, 0] % min(len(cache), len(source)), draw[:, 1] % cache.views
    views = Views.from_manifest(cache.manifest["views"])
    found = Replay(pairs, (cache.manifest["decoder"], decoder_version()))
    cosines = []
    for start in range(0, pairs, BATCH):
        part = slice(start, start + BATCH)
        same: list[tuple[int, int]] = []
        faces = []
        for sample, view in zip(samples[part].tolist(), shown[part].tolist(), strict=True):
            face = _render_again(cache, source, views, sample, view, found)
            if face is not None:
                faces.append(face)
                same.append((sample, view))
        if faces:
            fresh = teacher.embed(np.stack(faces))
            stored = cache.gather(*np.array(same).T)
            lengths = np.linalg.norm(fresh, axis=1) * np.linalg.norm(stored, axis=1)
            cosines.append((fresh * stored).sum(1) / lengths)
            found.teacher += [
                pair for pair, cosine in zip(same, cosines[-1], strict=True) if not cosine >= 1 - TOLERANCE
            ]
    if cosines:
        found.cosine = np.concatenate(cosines)
    return found


def _render_again(
    cache: TeacherCache, source: FaceSource, views: Views, sample: int, view: int, found: Replay
) -> np.ndarray | None:
    """The face as rendered now if it is the one the teacher saw, else None, with the cause put down in `found`."""
    jpeg, face = b"", None
    try:
        jpeg = source.jpeg(sample)
        face = shown_face(source, views, sample, view, source.decode(jpeg, sample))
    except DataError as error:
        if isinstance(error.__cause__, OSError):
            raise
    samples = np.array([sample])
    if zlib.crc32(jpeg) != cache.picture(samples)[0]:
        changed = found.data
    else:
        changed = found.views if found.decoders[0] == found.decoders[1] else found.decoder
    if face is None:
        agrees = sample in cache.skipped
    else:
        agrees = sample not in cache.skipped and pixel_digest(face) == cache.pixels(samples, view)[0]
    # A picture that was packed into other bytes of the same pixels is other data nevertheless.
    if changed is found.data or not agrees:
        changed.append((sample, view))
    return face if agrees else None
