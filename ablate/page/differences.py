"""What differs between the configurations of runs, so that a page can say it of any two."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from common.config import Config

# Where results lie, not what they are.
_NO_DIFFERENCE = ("name",)


def differing_options(configs: Sequence[Config]) -> dict[str, Any]:
    """{"keys": options that are not the same in all, "values": their texts by run}."""
    flat = [_flat("", config) for config in configs]
    keys = list(dict.fromkeys(key for options in flat for key in options))
    keys = [key for key in keys if key not in _NO_DIFFERENCE and len({options.get(key) for options in flat}) > 1]
    return {"keys": keys, "values": [[options.get(key, "none") for key in keys] for options in flat]}


def _flat(above: str, section: BaseModel) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in section:
        key = f"{above}.{name}" if above else name
        if isinstance(value, BaseModel):
            found |= _flat(key, value)
        elif isinstance(value, dict):
            found |= {f"{key}.{inner}": _text(part) for inner, part in value.items()}
        else:
            found[key] = _text(value)
    return found


def _text(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.10g}"
    return ", ".join(map(_text, value)) or "none" if isinstance(value, list | tuple) else str(value)
