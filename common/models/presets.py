"""What published weights want to see: channel order, scaling, size.

Those belong to the weights and cannot be read off a state dict, so known files and repositories are listed here.
Each field may be unknown (None); `first_known` lets the more specific source win.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from common.config import ChannelOrder
from common.errors import DataError


@dataclass(frozen=True)
class Preset:
    """Input contract of a face model: pixels enter as (x - mean) / std with x in 0..255; size is (height, width)."""

    architecture: str | None = None
    embedding_size: int | None = None
    size: tuple[int, int] | None = None
    channel_order: ChannelOrder | None = None
    mean: float | None = None
    std: float | None = None

    def to_metadata(self) -> dict[str, str]:
        """The known fields as text, for the header of a safetensors file."""
        known = {field.name: getattr(self, field.name) for field in fields(self) if field.name not in self.missing()}
        return {name: "x".join(map(str, value)) if name == "size" else str(value) for name, value in known.items()}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str]) -> "Preset":
        """Fields found in a safetensors header; raises DataError if one of them is nonsense."""
        readers: dict[str, Callable[[str], Any]] = {
            "architecture": str,
            "embedding_size": int,
            "size": _size,
            "channel_order": {"rgb": "rgb", "bgr": "bgr"}.__getitem__,
            "mean": float,
            "std": float,
        }
        values = {}
        for name in readers.keys() & metadata.keys():
            try:
                values[name] = readers[name](metadata[name])
            except (ValueError, KeyError) as error:
                raise DataError(f"metadata of the weights: {name} cannot be {metadata[name]!r}") from error
        return cls(**values)

    def missing(self) -> list[str]:
        """Names of the fields nobody has set."""
        return [field.name for field in fields(self) if getattr(self, field.name) is None]


UNIT_RGB = Preset(channel_order="rgb", mean=127.5, std=127.5)
"""RGB in [-1,1]: InsightFace, CVLFace, AdaDistill, CosFace."""

ADAFACE = Preset(channel_order="bgr", mean=127.5, std=127.5)
"""AdaFace's own checkpoints saw BGR (README and inference.py of mk-minchul/AdaFace)."""

RAW_RGB = Preset(channel_order="rgb", mean=0.0, std=1.0)
"""The graph scales by itself."""

# face_recognition_sface_2021dec.onnx of the OpenCV Zoo.
_SFACE = "0ba9fbfa01b5270c96627c4ef784da859931e02f04419c829e83484087c34e79"
# glintr100.onnx of fal/AuraFace-v1, as projects that use it pin it: never run here (docs/data.md). The publisher's card
# has it read by InsightFace's library, whose contract this is.
_AURAFACE = "a7933ea5330113b01c9b60351d8f4c33003f145d8470ac5f0e52ee2effe25c60"
_R100 = replace(UNIT_RGB, architecture="onnx", embedding_size=512, size=(112, 112))

_BY_SHA256 = {
    _SFACE: replace(RAW_RGB, architecture="sface", embedding_size=128, size=(112, 112)),
    _AURAFACE: _R100,
}
_LICENCE_BY_SHA256 = {_SFACE: "Apache-2.0", _AURAFACE: "Apache-2.0"}

UNKNOWN = "unknown"
"""What is said of a licence that nobody here knows: an answer, and no permission."""

_CVLFACE_IR = re.compile(r"minchul/cvlface_(adaface|arcface|cosface)_ir(18|50|101)_\w+")


def _size(text: str) -> tuple[int, int]:
    height, width = map(int, text.split("x"))
    return height, width


def by_sha256(digest: str) -> Preset:
    """Preset of a published file; empty if the file is not known."""
    return _BY_SHA256.get(digest, Preset())


def known_licence(sha256: str) -> str | None:
    """The licence that its publisher gives a published file; None if it is not known."""
    return _LICENCE_BY_SHA256.get(sha256)


def by_repository(repository: str) -> Preset:
    """Preset of a Hub repository; empty if it is not known."""
    if repository == "fal/AuraFace-v1":
        return _R100
    match = _CVLFACE_IR.fullmatch(repository)
    if match is None:
        return Preset()
    return replace(UNIT_RGB, architecture=f"ir_{match[2]}", embedding_size=512, size=(112, 112))


def first_known(*presets: Preset) -> Preset:
    """Field by field, the first value that is known."""
    chosen = {}
    for field in fields(Preset):
        values = (getattr(preset, field.name) for preset in presets)
        chosen[field.name] = next((value for value in values if value is not None), None)
    return Preset(**chosen)
