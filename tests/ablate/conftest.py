"""Ablations of nothing: a base experiment in an empty working directory, and programs that only seem to train."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from ablate.machine import Machine
from common.config import toml_of
from tests.tiny import experiment

FAKE = Path(__file__).with_name("fake_program.py")
CPU = Machine("cpu", threads=1, slots=2, ranks=1)


@dataclass
class FakePrograms:
    """Programs of fake_program.py."""

    steps: int = 2
    seconds: float = 0.0
    locks: bool = True

    def train(self, file: Path, root: Path, machine: Machine) -> Sequence[str]:
        return [f"{FAKE}", "train", f"{file}", str(self.steps), str(self.seconds), str(self.locks)]

    def evaluate(self, file: Path, root: Path, machine: Machine, teacher: bool) -> Sequence[str]:
        return [f"{FAKE}", "evaluate", f"{file}", str(teacher)]

    def build(self, file: Path, root: Path, machine: Machine) -> Sequence[str]:
        raise AssertionError("no cache is to be built")


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Callable: an ablation file of this [ablate] text, over a base whose head reads no teacher unless asked to."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(FAKE.parents[2]))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "pairs.bin").touch()

    def write(text: str, name: str = "study", **sections) -> Path:
        base = experiment(name="base", **{"head": "arcface", "evaluate": {"sets": {"pairs": "pairs.bin"}}, **sections})
        Path("base.toml").write_text(toml_of(base))
        path = Path(f"{name}.toml")
        path.write_text(f'extends = "base.toml"\nname = "{name}"\n{text}')
        return path

    return write
