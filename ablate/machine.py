"""What this machine gives to runs: slots, and each slot's threads or GPUs; and the commands that use them."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from common.errors import ConfigError


@dataclass(frozen=True)
class Machine:
    """device: cpu or cuda. threads: of each rank. ranks: of each run. gpus: names as CUDA_VISIBLE_DEVICES has them."""

    device: str
    threads: int
    slots: int
    ranks: int
    gpus: tuple[str, ...] = ()

    @classmethod
    def of(cls, device: str, threads: int | None, slots: int, ranks: int) -> "Machine":
        """This machine, divided. Raises ConfigError for a run of more ranks than there are GPUs."""
        import torch

        from common.runtime import choose_device

        kind = choose_device(device).type
        gpus: tuple[str, ...] = ()
        if kind == "cuda":
            visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
            gpus = tuple(visible.split(",")) if visible else tuple(map(str, range(torch.cuda.device_count())))
            if ranks > len(gpus):
                raise ConfigError(f"--ranks {ranks}: a GPU each, and torch sees {len(gpus)}: ask for fewer")
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return cls(kind, threads or max(1, cores // (slots * ranks)), slots, ranks, gpus)

    def environment(self, slot: int) -> Mapping[str, str]:
        """What a slot's processes find in the environment: its GPUs, one a rank, shared where slots outnumber them."""
        if not self.gpus:
            return {}
        mine = [self.gpus[(slot * self.ranks + rank) % len(self.gpus)] for rank in range(self.ranks)]
        return {"CUDA_VISIBLE_DEVICES": ",".join(mine)}

    def text(self) -> str:
        """How the machine is divided, in a line."""
        several = f", {self.ranks} ranks a run" if self.ranks > 1 else ""
        if not self.gpus:
            return f"{self.slots} at once on the CPU, {self.threads} thread(s) a rank{several}"
        shared = ", shared" if self.slots * self.ranks > len(self.gpus) else ""
        return f"{self.slots} at once on {len(self.gpus)} GPU(s){shared}, {self.threads} thread(s) a rank{several}"


class Programs(Protocol):
    """The arguments of `python` that do the steps of an ablation, each for one resolved experiment file."""

    def train(self, file: Path, root: Path, machine: Machine) -> Sequence[str]:
        """Train, or go on."""

    def evaluate(self, file: Path, root: Path, machine: Machine, teacher: bool) -> Sequence[str]:
        """Evaluate the students of a finished run, and the teacher with them."""

    def build(self, file: Path, root: Path, machine: Machine) -> Sequence[str]:
        """Build the teacher cache, on the whole machine."""

    def cut(self, file: Path, root: Path, options: Sequence[str], out: Path) -> Sequence[str]:
        """Cut a cache of some people out of the experiment's. options: which people."""


class OwnPrograms:
    """The commands of this house."""

    def train(self, file: Path, root: Path, machine: Machine) -> Sequence[str]:
        several = ["-m", "common.launch", "--standalone", f"--nproc_per_node={machine.ranks}"]
        return [*(several if machine.ranks > 1 else []), "-m", "distill", "train", *_where(file, root, machine)]

    def evaluate(self, file: Path, root: Path, machine: Machine, teacher: bool) -> Sequence[str]:
        asked = f"evaluate.teacher={str(teacher).lower()}"
        return ["-m", "evaluate", "run", *_where(file, root, machine), "--set", asked]

    def build(self, file: Path, root: Path, machine: Machine) -> Sequence[str]:
        processes = max(1, len(machine.gpus))
        several = ["-m", "common.processes", str(processes)] if processes > 1 else []
        whole = ["--config", f"{file}", "--data", f"{root}", "--device", machine.device]
        return [*several, "-m", "cache", "build", *whole]

    def cut(self, file: Path, root: Path, options: Sequence[str], out: Path) -> Sequence[str]:
        return ["-m", "cache", "subset", "--config", f"{file}", "--data", f"{root}", *options, "--out", f"{out}"]


def _where(file: Path, root: Path, machine: Machine) -> list[str]:
    computing = ["--device", machine.device, "--threads", str(machine.threads)]
    return ["--config", f"{file}", "--data", f"{root}", *computing]
