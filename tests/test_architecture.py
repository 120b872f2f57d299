"""docs/architecture.md draws the folders there are; few files a folder, short files, one door a room."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
STAGES = ("common", "cache", "distill", "evaluate", "export", "ablate", "photos", "demo")
MOST_FILES = 17
MOST_LINES = 300
# Handed on for notebooks and other trainers, though nothing here imports them.
PROMISED = {
    "common/backbones": {"backbone_names"},
    "common/faces": {"RecordWriter"},
    "common/models": {"load_weights"},
    "distill/head": {"HeadOutput"},
}
# Every package with an `__init__`, as a path below the root: `cache`, `cache/format` ...
PACKAGES = sorted(
    path.parent.relative_to(ROOT).as_posix() for stage in STAGES for path in (ROOT / stage).rglob("__init__.py")
)
ROOMS = [package for package in PACKAGES if "/" in package]


def modules(package: str) -> set[str]:
    """Names of a package's own files, without `__init__` and `__main__`."""
    return {path.stem for path in (ROOT / package).glob("*.py")} - {"__init__", "__main__"}


def drawn() -> dict[str, list[str]]:
    """Folder -> the files named in its row of docs/architecture.md: | `cache/format` | what it is for | a, b, c |."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    rows = re.findall(r"^\| `([a-z_/]+)` \| [^|]+ \|([a-z_0-9, ]*)\|$", text, re.MULTILINE)
    assert len(rows) == len(dict(rows)), "a folder is drawn twice"
    return {folder: files.replace(",", "").split() for folder, files in rows}


def test_the_folders_drawn_in_the_architecture_are_those_on_disk():
    tree = drawn()
    assert sorted(tree) == PACKAGES
    for package, names in tree.items():
        assert sorted(names) == sorted(modules(package)), package


def test_paths_in_the_architecture_exist():
    text = (ROOT / "docs" / "architecture.md").read_text() + (ROOT / "docs" / "extending.md").read_text()
    paths = set(re.findall(rf"`((?:{'|'.join(STAGES)}|tests|docs|configs)/[\w./-]+)`", text))
    assert len(paths) > 20
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_a_folder_has_few_files_and_each_of_them_is_short(package):
    assert len(modules(package)) <= MOST_FILES
    lines = {path.name: len(path.read_text().splitlines()) for path in (ROOT / package).glob("*.py")}
    assert {name: count for name, count in lines.items() if count > MOST_LINES} == {}


def imported_from(package: str) -> set[str]:
    """Names that others take from a room's door: the program outside of the room, benchmarks, and code in documents."""
    sources = [
        path.read_text()
        for folder in (*STAGES, "benchmarks", "examples")
        for path in (ROOT / folder).rglob("*.py")
        if not path.relative_to(ROOT).as_posix().startswith(f"{package}/")
    ]
    names = {
        alias.name
        for source in sources
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom) and node.module == package.replace("/", ".")
        for alias in node.names
    }
    door = re.escape(package.replace("/", "."))
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for line in re.findall(rf"from {door} import \(?([\w, ]+)", page.read_text()):
            names |= set(line.replace(" ", "").split(","))
    return names


@pytest.mark.parametrize("package", ROOMS)
def test_a_door_says_what_its_room_is_for_and_hands_on_what_others_use(package):
    module = ast.parse((ROOT / package / "__init__.py").read_text())
    handed_on = next(
        ast.literal_eval(node.value)
        for node in module.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    )
    assert len((ast.get_docstring(module) or "").split()) >= 10
    assert sorted(handed_on) == sorted(imported_from(package) | PROMISED.get(package, set()))
    assert not set(handed_on) & modules(package), "a name that hides a file of the room"
