"""What decides how a photo becomes aligned faces, and doing so for one photo.

aligner = Aligner(detector="yunet", weights=find_detector("yunet", root))
faces = aligner.open().faces(rgb)              uint8 (H,W,3) -> [AlignedFace(status, box, landmarks, score, rgb)]
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple, assert_never

import cv2
import numpy as np

from common.faces import encode_jpeg
from photos.detect import Detector, Found, Name, open_detector
from photos.transform import SIZES, Size, aligned

Choice = Literal["central", "all"]
Encoding = Literal["png", "jpg"]
Status = Literal["aligned", "passed over", "rejected"]
LONGEST = 640
JPEG_QUALITY = 95


class AlignedFace(NamedTuple):
    """A face of a photo. box (4,) and landmarks (5,2): float32, pixels of the photo. rgb: uint8 of the aligner's size
    where the status is "aligned", else None, and `reason` says why."""

    status: Status
    reason: str | None
    box: np.ndarray
    landmarks: np.ndarray
    score: float
    rgb: np.ndarray | None


@dataclass(frozen=True)
class Aligner:
    """detector: None where landmarks are given, whose file has the digest `landmarks_sha256`. weights: see
    `find_detector`. size: (height, width). longest: pixels of a photo's longer side when it is searched; larger ones
    are shrunk for that, and cropped as they are. choose: of several faces the most central large one, or all.
    min_face: least shorter side of a face's box, in pixels of the photo.
    """

    detector: Name | None
    weights: Path | None = None
    landmarks_sha256: str | None = None
    size: Size = (112, 112)
    longest: int = LONGEST
    choose: Choice = "central"
    min_face: int = 20
    encoding: Encoding = "png"

    @cached_property
    def opened(self) -> Detector | None:
        """The detector, opened once a process."""
        return open_detector(self.detector, self.weights) if self.detector and self.weights else None

    def __reduce__(self) -> tuple[Any, ...]:  # an open detector stays in its process
        fields = (self.detector, self.weights, self.landmarks_sha256, self.size, self.longest, self.choose)
        return Aligner, (*fields, self.min_face, self.encoding)

    def identity(self) -> dict[str, Any]:
        """What the faces depend on, as JSON: two data sets with equal identities were aligned alike."""
        if self.opened is None:
            finds: dict[str, Any] = {"name": "given", "landmarks_sha256": self.landmarks_sha256}
        else:
            finds = {**self.opened.describe(), "longest": self.longest}
        return {
            "detector": finds,
            "choose": self.choose,
            "min_face": self.min_face,
            "size": list(self.size),
            "template": SIZES[self.size],
            "resampling": "bilinear 1/32, integer means above twice the size",
            "encoding": "png" if self.encoding == "png" else f"jpg {JPEG_QUALITY}",
        }

    def faces(self, rgb: np.ndarray, given: Found | None = None) -> list[AlignedFace]:
        """All faces found in a uint8 (H,W,3) picture, best first; those chosen are aligned. Empty where there is none.

        given: in place of a detector's.
        """
        if given is None:
            assert self.opened is not None, "landmarks are given where there is no detector"
            found = search(self.opened, rgb, self.longest)
        else:
            found = given
        sides = (found.boxes[:, 2:] - found.boxes[:, :2]).min(1)
        large = [k for k in range(len(found)) if sides[k] >= self.min_face]
        match self.choose:
            case "all":
                chosen = set(large)
            case "central":
                chosen = {max(large, key=lambda k: _prominence(found.boxes[k], rgb.shape))} if large else set()
            case unknown:
                assert_never(unknown)
        return [self._face(rgb, found, k, k in chosen, float(sides[k])) for k in range(len(found))]

    def encode(self, rgb: np.ndarray) -> bytes:
        """An aligned face as its file's bytes."""
        if self.encoding == "jpg":
            return encode_jpeg(rgb, JPEG_QUALITY)
        _, encoded = cv2.imencode(".png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
        return encoded.tobytes()

    def _face(self, rgb: np.ndarray, found: Found, k: int, chosen: bool, side: float) -> AlignedFace:
        status: Status = "aligned"
        reason, face = None, None
        if side < self.min_face:
            status, reason = "rejected", f"a face of fewer than {self.min_face} pixels"
        elif not chosen:
            status, reason = "passed over", "another face is larger or more central"
        else:
            try:
                face = aligned(rgb, found.landmarks[k], self.size)
            except ValueError as error:
                status, reason = "rejected", str(error)
        return AlignedFace(status, reason, found.boxes[k], found.landmarks[k], float(found.scores[k]), face)


def search(detector: Detector, rgb: np.ndarray, longest: int) -> Found:
    """What a detector finds in a picture whose longer side is at most `longest`, in pixels of the whole picture."""
    height, width = rgb.shape[:2]
    if max(height, width) <= longest:
        return detector.faces(rgb)
    share = longest / max(height, width)
    small = max(1, round(width * share)), max(1, round(height * share))
    found = detector.faces(cv2.resize(rgb, small, interpolation=cv2.INTER_AREA))
    ratio = np.array([width / small[0], height / small[1]], np.float32)
    boxes, landmarks = ((at + 0.5) * ratio - 0.5 for at in (found.boxes.reshape(-1, 2, 2), found.landmarks))
    return Found(boxes.reshape(-1, 4), landmarks, found.scores)


def _prominence(box: np.ndarray, shape: tuple[int, ...]) -> float:
    """Area less twice the squared distance from the middle of the picture, in pixels; InsightFace's measure."""
    x0, y0, x1, y1 = box.astype(np.float64)
    across, down = (x0 + x1) / 2 - shape[1] / 2, (y0 + y1) / 2 - shape[0] / 2
    return float((x1 - x0) * (y1 - y0) - 2 * (across**2 + down**2))
