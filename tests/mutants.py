"""Change one line of the program at a time and see whether a test notices: what survives is not held by any test.

    python tests/mutants.py --count 40 --seed 0                   a sample over cache/, distill/ and evaluate/'s metrics
    python tests/mutants.py --count 0 evaluate/protocols/metrics.py         every mutant of one file

A mutant is one comparison, sign, constant, boolean, `not`, `min`/`max` or statement turned into its neighbour. It is
tried in a copy of the tree by the quick tests closest to its file; a failure or a time-out kills it.
"""

import ast
import copy
import io
import multiprocessing
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from queue import Queue

import click

ROOT = Path(__file__).parents[1]
MEASURED = ("cache", "distill", "evaluate/protocols")
CLOSEST = 8  # test files a mutant is tried by: what survives them is not held where a reader would look for it
PRELOADED = ("cv2", "hypothesis", "pydantic", "torch", "zarr")  # once, before the forks: they take seconds to import

OTHER: dict[type, type] = {
    **{ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq},
    **{ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.And: ast.Or, ast.Or: ast.And},
    **{ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult},
}
NAMES = [("min", "max"), ("minimum", "maximum"), ("argmin", "argmax"), ("any", "all"), ("floor", "ceil")]
OTHER_NAME = {a: b for pair in NAMES for a, b in (pair, pair[::-1])}


@dataclass(frozen=True)
class Mutant:
    """Bytes [start, stop) of a file become `after`; `before` is what stands there."""

    file: str
    line: int
    start: int
    stop: int
    before: str
    after: str

    def __str__(self) -> str:
        before, after = (" ".join(text.split()) for text in (self.before, self.after))
        return f"{self.file}:{self.line}  {before}  ->  {after}"

    def applied(self, source: bytes) -> bytes:
        return source[: self.start] + self.after.encode() + source[self.stop :]


def mutants_of(file: str, source: bytes) -> list[Mutant]:
    """All mutants of a file, in its order."""
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    found = []
    for node in _code(ast.parse(source)):
        for after in _neighbours(node):
            start = starts[node.lineno - 1] + node.col_offset
            stop = starts[node.end_lineno - 1] + node.end_col_offset
            found.append(Mutant(file, node.lineno, start, stop, source[start:stop].decode(), after))
    return sorted(found, key=lambda mutant: (mutant.start, mutant.after))


def _code(node: ast.AST) -> Iterator[ast.AST]:
    """What is executed: neither annotations nor decorators, neither docstrings nor the texts of errors."""
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list") or isinstance(node, (ast.JoinedStr, ast.Assert)):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield child
                yield from _code(child)


def _neighbours(node: ast.AST) -> Iterator[str]:
    """Python text of each way to get this very node slightly wrong."""
    changed = copy.deepcopy(node)
    match changed:
        case ast.Compare(ops=[op]) if type(op) in OTHER:
            changed.ops = [OTHER[type(op)]()]
            yield f"({ast.unparse(changed)})"
        case ast.BinOp(op=op) | ast.BoolOp(op=op) if type(op) in OTHER:
            changed.op = OTHER[type(op)]()
            yield f"({ast.unparse(changed)})"
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            yield f"({ast.unparse(operand)})"
        case ast.Constant(value=bool() as value):
            yield str(not value)
        case ast.Constant(value=int() | float() as value):
            yield str(value + 1)
        case ast.Call(func=ast.Name(id=name)) if name in OTHER_NAME:
            changed.func = ast.Name(OTHER_NAME[name])
            yield ast.unparse(changed)
        case ast.Call(func=ast.Attribute(attr=name)) if name in OTHER_NAME:
            changed.func.attr = OTHER_NAME[name]
            yield ast.unparse(changed)
        case ast.Expr(value=ast.Call()) | ast.AugAssign() | ast.Raise():
            yield "pass"


def tests_of(file: str) -> list[str]:
    """The test files closest to a module: named like it, importing it, named like or importing a module that does."""
    package, name = file.split("/")[0], Path(file).stem
    using = {path.as_posix() for path in Path(package).rglob("*.py") if path.name != "__init__.py"}
    using = {path for path in using if file in imported_by(path)}
    names = {f"test_{Path(path).stem}" for path in using}
    ranked = {}
    for test in sorted(path.as_posix() for path in Path("tests").rglob("test_*.py")):
        if test.split("/")[1] in ("interop", "faults"):
            continue
        stem, imported = Path(test).stem, imported_by(test)
        signs = (stem == f"test_{name}", file in imported, stem in names, bool(using & imported))
        if any(signs):
            ranked[test] = (signs.index(True), Path(test).parent != Path("tests", file).parent, test)
    return sorted(ranked, key=lambda test: ranked[test])[:CLOSEST] or [f"tests/{package}"]


@cache
def imported_by(file: str) -> frozenset[str]:
    """The project's files that a file imports from, straight or through the door of their room."""
    found = set()
    for node in ast.walk(ast.parse(Path(file).read_bytes())):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {_home_of(node.module, alias.name) for alias in node.names}
    return frozenset(found)


def _home_of(module: str, name: str) -> str:
    """The file that `from module import name` takes the name from."""
    folder = Path(module.replace(".", "/"))
    door = folder / "__init__.py"
    if (folder / f"{name}.py").is_file():
        return f"{folder / name}.py"
    if not door.is_file():
        return f"{folder}.py"
    for node in ast.walk(ast.parse(door.read_bytes())):
        if isinstance(node, ast.ImportFrom) and node.module and name in (alias.name for alias in node.names):
            return _home_of(node.module, name)
    return door.as_posix()


def passes(tree: Path, tests: Sequence[str], limit: float | None) -> bool:
    """Whether these tests pass in a tree; a time-out is a failure."""
    process = multiprocessing.get_context("fork").Process(target=_run_tests, args=(tree, tests))
    process.start()
    process.join(limit)
    if process.is_alive():
        process.kill()
        process.join()
    return process.exitcode == 0


def _run_tests(tree: Path, tests: Sequence[str]) -> None:
    import pytest

    os.chdir(tree)
    sys.path[:] = [str(tree), *(path for path in sys.path if Path(path or ".").resolve() not in (ROOT, ROOT / "tests"))]
    sys.dont_write_bytecode = True
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        code = pytest.main(["-x", "-q", "-m", "not slow", "-p", "no:cacheprovider", *tests])
    os._exit(int(code))


def copied_tree(to: Path) -> Path:
    """The files git knows of, as they stand now."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in listed.split("\0"):
        if name and (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, to / name)
    return to


@click.command()
@click.argument("files", nargs=-1)
@click.option("--count", default=40, show_default=True, help="How many mutants, drawn with --seed; 0 for all.")
@click.option("--seed", default=0, show_default=True)
@click.option("--jobs", default=os.cpu_count() or 1, show_default=True)
def main(files: tuple[str, ...], count: int, seed: int, jobs: int) -> None:
    """Report the one-line changes that no test notices; exit status 1 when there are some."""
    os.chdir(ROOT)
    chosen = sorted(files or (path.as_posix() for room in MEASURED for path in Path(room).rglob("*.py")))
    mutants = [mutant for file in chosen for mutant in mutants_of(file, (ROOT / file).read_bytes())]
    known = len(mutants)
    if count:
        mutants = random.Random(seed).sample(mutants, min(count, known))
    for name in PRELOADED:
        __import__(name)
    sys.modules["torch"].set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(jobs) as pool:
        trees: Queue[Path] = Queue()
        for job in range(jobs):
            trees.put(copied_tree(Path(scratch, str(job))))
        limits: dict[str, float] = {}
        for file in sorted({mutant.file for mutant in mutants}):
            began = time.perf_counter()
            if not passes(Path(scratch, "0"), tests_of(file), None):
                raise click.ClickException(f"{file}: its tests fail as it stands: {' '.join(tests_of(file))}")
            limits[file] = 30 + 5 * (time.perf_counter() - began)

        def survives(mutant: Mutant) -> bool:
            tree = trees.get()
            try:
                whole = (ROOT / mutant.file).read_bytes()
                (tree / mutant.file).write_bytes(mutant.applied(whole))
                return passes(tree, tests_of(mutant.file), limits[mutant.file])
            finally:
                (tree / mutant.file).write_bytes(whole)
                trees.put(tree)

        survivors = 0
        for mutant, alive in zip(mutants, pool.map(survives, mutants), strict=True):
            if alive:
                survivors += 1
                click.echo(f"survived  {mutant}")
    click.echo(f"{survivors} of {len(mutants)} mutants survived ({known} known in {len(chosen)} files, seed {seed})")
    raise SystemExit(int(survivors > 0))


if __name__ == "__main__":
    main()
