"""What a case or an axis changes of an experiment, key by key, and how people read it."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from common.config import Change

# Whole choices: a table of these replaces, it does not mix (common/config/file.py).
_WHOLE = ("teacher", "sets")


def changes_of(table: Mapping[str, Any]) -> tuple[Change, ...]:
    """A table as changes of single keys; `"head.m" = 0.5` and `head = { m = 0.5 }` are the same."""
    return tuple(_flat((), table))


def keys_of(dotted: str) -> tuple[str, ...]:
    """`head.m` as the keys it is made of."""
    return tuple(part.strip() for part in dotted.split("."))


def changes_text(changes: Iterable[Change]) -> str:
    """`head=arcface train.lr=0.1`, nothing changed as a dash."""
    return " ".join(f"{'.'.join(keys)}={value_text(value)}" for keys, value in changes) or "-"


def value_text(value: Any) -> str:
    """A TOML value as short as it can be read."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        return "+".join(value_text(part) for part in value) or "none"
    return json.dumps(value) if isinstance(value, dict) else str(value)


def short_keys(keys: Iterable[str]) -> dict[str, str]:
    """Each dotted key by its last word, where that is not two keys' own."""
    last = {key: key.rpartition(".")[2] for key in keys}
    return {key: word if list(last.values()).count(word) == 1 else key for key, word in last.items()}


def _flat(above: tuple[str, ...], table: Mapping[str, Any]) -> Iterable[Change]:
    for key, value in table.items():
        keys = (*above, *keys_of(key))
        if isinstance(value, dict) and keys[-1] not in _WHOLE and "recipe" not in value:
            yield from _flat(keys, value)
        else:
            yield keys, value
