"""Which run a configuration is: digests of what decides the numbers of a training, and the rows of a cache."""

import hashlib
import json
from typing import Any

from common.config import Config
from distill.run import deciding_values

DIGITS = 10
# What `python -m cache build` reads, as far as it decides rows.
_OF_CACHE = ("faces.", "teacher.", "views.", "cache.dtype", "cache.confidence", "cache.on_bad_image")


def digest_of(config: Config, ranks: int = 1) -> str:
    """Equal for two configurations whose trainings end in the same numbers, whatever they are called."""
    values = deciding_values(config)
    del values["name"]
    return _digest(values | {"train.batch_size": config.train.batch_size, "ranks": ranks})


def cache_identity(config: Config) -> str:
    """Equal for two configurations whose teacher caches hold the same rows."""
    values = deciding_values(config, of_teacher=True)
    return _digest({key: value for key, value in values.items() if key.startswith(_OF_CACHE)})


def _digest(values: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:DIGITS]
