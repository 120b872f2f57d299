"""Published head recipes by name: each is one point of the grid margin x class centres x geometry.

    head = "adadistill-arcface"                          # the whole [head] section in one line
    [head] recipe = "adadistill-arcface", m = 0.5        # or with some values of one's own

s, m, h and the geometry values are those their authors train with; docs/method.md has the maths and the sources.
"""

from typing import Any

_ARCFACE: dict[str, Any] = {"margin": "arcface", "s": 64.0}
_COSFACE: dict[str, Any] = {"margin": "cosface", "s": 64.0, "m": 0.35}
_ADAFACE: dict[str, Any] = {"margin": "adaface", "s": 64.0, "m": 0.4, "h": 0.333, "t_alpha": 0.01}
_WEIGHTED: dict[str, Any] = {"centers": "distilled", "alpha": "weighted"}
_ADAPTIVE: dict[str, Any] = {"centers": "distilled", "alpha": "adaptive"}
_GEOMETRY: dict[str, Any] = {"geometry_w": 1.0, "geometry_k": 3.0, "geometry_warmup": 1.0}

RECIPES: dict[str, dict[str, Any]] = {
    "arcface": {**_ARCFACE, "m": 0.5, "centers": "learned"},
    "cosface": {**_COSFACE, "centers": "learned"},
    "adaface": {**_ADAFACE, "centers": "learned"},
    "arcdistill": {**_ARCFACE, "m": 0.45, "centers": "frozen"},
    "cosdistill": {**_COSFACE, "centers": "frozen"},
    "adadistill-arcface": {**_ARCFACE, "m": 0.45, **_WEIGHTED},
    "adadistill-arcface-adaptive": {**_ARCFACE, "m": 0.45, **_ADAPTIVE},
    "adadistill-cosface": {**_COSFACE, **_WEIGHTED},
    "adadistill-cosface-adaptive": {**_COSFACE, **_ADAPTIVE},
    "adadistill-adaface": {**_ADAFACE, **_WEIGHTED},
    "adadistill-adaface-geometry": {**_ADAFACE, **_WEIGHTED, "geometry": "live", **_GEOMETRY},
    "adadistill-adaface-confidence": {**_ADAFACE, **_WEIGHTED, "geometry": "cached", **_GEOMETRY},
}
