"""Read and write experiment files.

    config = load_config("configs/lfw.toml", overrides=["train.epochs=2"])
    config.head.margin            # "adaface"

`extends = "other.toml"` (relative to the file) takes everything from another file and lets this one change
single values, so that an ablation is a file of a few lines; "none" takes an optional value back. What is wrong is
reported with the line it stands on, or with the `--set` that made it wrong. `lfw` is `configs/lfw.toml`.
"""

import difflib
import re
import reprlib
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, get_args

import tomli_w
from pydantic import BaseModel, ValidationError

from common.config.experiment import Config
from common.config.section import Idle
from common.documents import read_regular
from common.errors import ConfigError, IdleOptionError

LARGEST = 1 << 20
# Sections that may be one string, and the key it stands for.
IN_ONE_LINE = {"teacher": "weights", "head": "recipe"}


class _File(NamedTuple):
    path: Path
    text: str


class Written(NamedTuple):
    """What files say, the nearer one over those it extends: values as TOML has them, and the files, nearest first."""

    values: dict[str, Any]
    files: list[_File]


# A key, part by part, and the value it gets.
Change = tuple[tuple[str, ...], Any]


def load_config(path: str | Path, overrides: Iterable[str] = ()) -> Config:
    """Read and check an experiment file.

    overrides: `section.key=value` strings as given to `--set`; a value that is no TOML is taken as a string.
    Raises ConfigError with the file, the line and what is wrong.
    """
    return checked(read_written(path), [parse_override(text) for text in overrides])


def read_written(path: str | Path) -> Written:
    """What an experiment file says together with those it extends, not checked yet.

    Raises ConfigError for a file that is not there or no TOML.
    """
    try:
        return Written(*_read_with_bases(_file_of(Path(path)), ()))
    except RecursionError:
        raise ConfigError(f"{path}: nested too deeply: tables here are two deep at most") from None


def checked(written: Written, given: Sequence[Change] = (), by: str = "--set") -> Config:
    """The configuration, with some values changed.

    by: what gave the changes, as an error names it. Raises IdleOptionError where all that is wrong is that a change has
    no effect, else ConfigError.
    """
    try:
        changed = dict(written.values)  # _put copies the tables it changes
        for keys, value in given:
            _put(changed, keys, value, by)
        return Config.model_validate(_without_none(changed, Config))
    except RecursionError:
        raise ConfigError(f"{written.files[0].path}: nested too deeply: tables here are two deep at most") from None
    except ValidationError as error:
        alone = _problems_of(written.values) if given else []
        problems = [
            _describe(problem, written.files, given if given and _key(problem) not in alone else [], by)
            for problem in error.errors()
        ]
        found = [(problem["loc"], problem.get("ctx", {}).get("error")) for problem in error.errors()]
        idle = frozenset(".".join((*map(str, loc), why.option)) for loc, why in found if isinstance(why, Idle))
        if given and all(isinstance(why, Idle) for _, why in found):
            raise IdleOptionError("; ".join(problems), idle) from None
        raise ConfigError("; ".join(problems)) from None


def _file_of(path: Path) -> Path:
    """A bare name is that file of configs/, where there is one."""
    named = Path("configs") / f"{path}.toml"
    return named if path.name == str(path) and not path.exists() and named.exists() else path


def _problems_of(values: dict[str, Any]) -> list[tuple[Any, ...]]:
    """What is wrong with the files alone, before any --set."""
    try:
        Config.model_validate(_without_none(values, Config))
    except ValidationError as error:
        return [_key(problem) for problem in error.errors()]
    return []


def _key(problem: Any) -> tuple[Any, ...]:
    return problem["loc"], problem["msg"]


def _without_none(values: Any, section: type[BaseModel]) -> Any:
    """Values without those optional ones that are "none": TOML has no word for nothing."""
    if not isinstance(values, dict):
        return values
    kept = {}
    for name, value in values.items():
        field = section.model_fields.get(name)
        kinds = (field.annotation, *get_args(field.annotation)) if field else ()
        if value == "none" and type(None) in kinds:
            continue
        inner = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)
        kept[name] = _without_none(value, inner) if inner else value
    return kept


def toml_of(config: Config) -> str:
    """The resolved configuration as a TOML text that `load_config` reads back to an equal Config."""
    return tomli_w.dumps(config.model_dump(exclude_none=True))


def _read_with_bases(path: Path, seen: tuple[Path, ...]) -> tuple[dict[str, Any], list[_File]]:
    """Values of a file merged over those of the files it extends, and all files, nearest first."""
    if path.resolve() in seen:
        raise ConfigError(f"{path}: extends itself: {' -> '.join(str(p) for p in (*seen, path))}")
    text = _read_text(path)
    try:
        values = tomllib.loads(text)
    except ValueError as error:  # TOMLDecodeError, and what int() says of thousands of digits
        raise ConfigError(f"{path}: not TOML: {error}: mend the file") from None
    for section, key in IN_ONE_LINE.items():
        if isinstance(values.get(section), str) and values[section] != "none":
            values[section] = {key: values[section]}
    base = values.pop("extends", None)
    if base is None:
        return values, [_File(path, text)]
    if not isinstance(base, str) or "\0" in base:
        raise ConfigError(f"{path}: extends must be the name of a file, not {base!r}")
    inherited, files = _read_with_bases(path.parent / base, (*seen, path.resolve()))
    return _merge(inherited, values), [_File(path, text), *files]


def _read_text(path: Path) -> str:
    if not path.exists():
        known = ", ".join(sorted(str(p) for p in path.parent.glob("*.toml"))) or "none in that folder"
        raise ConfigError(f"{path}: no such configuration file (there are: {known}); set CONFIG=")
    content = read_regular(path, ConfigError, "set CONFIG= to an experiment file", LARGEST)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 at byte {error.start}: save it as UTF-8") from None


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        # Sets, a teacher and a named recipe are whole choices: the nearer file's replaces, it does not mix.
        mix = isinstance(old, dict) and isinstance(value, dict) and "recipe" not in value
        merged[key] = _merge(merged[key], value) if mix and key not in ("sets", "teacher") else value
    return merged


def parse_override(text: str) -> Change:
    """`section.key=value` as given to `--set`. Raises ConfigError without an equals sign."""
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise ConfigError(f"--set {text}: write section.key=value")
    try:
        parsed = tomllib.loads(f"v = {value}")
    except ValueError:
        parsed = {"v": value}
    # A line break in the value begins another key: then it was a text.
    return tuple(part.strip() for part in name.split(".")), parsed["v"] if len(parsed) == 1 else value


def _put(values: dict[str, Any], keys: tuple[str, ...], value: Any, by: str) -> None:
    for key in keys[:-1]:
        inner = values.get(key)
        if isinstance(inner, str) and key in IN_ONE_LINE:
            inner = {IN_ONE_LINE[key]: inner}
        if inner is None:
            inner = {}
        if not isinstance(inner, dict):
            raise ConfigError(f"{by} {'.'.join(keys)}: {key} is no table")
        values[key] = dict(inner)
        values = values[key]
    values[keys[-1]] = value


def _describe(problem: Any, files: list[_File], given: Sequence[Change], by: str) -> str:
    """given: the changes, where one of them made it wrong."""
    loc = tuple(str(part) for part in problem["loc"])
    what = problem["msg"].removeprefix("Value error, ")
    name = ".".join(loc)
    if problem["type"] == "extra_forbidden":
        what = f"unknown key{_nearest(loc)}"
    elif problem["type"] not in ("missing", "value_error"):
        what = f"{what}, not {reprlib.repr(problem['input'])}"
    # An entry of a list has no line of its own.
    key = tuple(part for part in problem["loc"] if isinstance(part, str))
    if given:
        culprits = [keys for keys, _ in given if keys == key]
        culprits = culprits or [keys for keys, _ in given if keys[: len(key)] == key and (key or keys[-1] in what)]
        told = " ".join(".".join(keys) for keys in culprits or [keys for keys, _ in given])
        return f"{by} {told}: {what}" if told == name or not name else f"{by} {told}: {name}: {what}"
    # A whole table's error says which of its keys it means in its first word.
    inner = (*key, what.split(" ", 1)[0])
    for path, text in files:
        line = _line_of(text, inner) or _line_of(text, key)
        if line:
            return f"{path}:{line}: {name}: {what}"
    return f"{files[0].path}: {name}: {what}" if name else f"{files[0].path}: {what}"


def _nearest(loc: tuple[str, ...]) -> str:
    section: Any = Config
    for part in loc[:-1]:
        field = section.model_fields.get(part) if hasattr(section, "model_fields") else None
        kinds = getattr(field.annotation, "__args__", (field.annotation,)) if field else ()
        section = next((k for k in kinds if isinstance(k, type) and issubclass(k, BaseModel)), None)
    known = list(section.model_fields) if section else []
    close = difflib.get_close_matches(loc[-1], known, 1)
    return f"; did you mean {close[0]}?" if close else (f"; known here: {', '.join(known)}" if known else "")


def _line_of(text: str, loc: tuple[str, ...]) -> int | None:
    """Line number of a dotted key, following [table] headers; None where a file's text does not have it."""
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.split("\n"), 1):
        if header := re.match(r"\s*\[\s*([^\[\]]+?)\s*\]", line):
            table = tuple(part.strip().strip('"') for part in header[1].split("."))
            if table == loc:
                return number
        elif (key := re.match(r'\s*([\w."-]+)\s*=', line)) and (*table, *key[1].replace('"', "").split(".")) == loc:
            return number
    return None
