"""What a command would do and what it lacks: the answer to `--check`."""

import shutil
from dataclasses import dataclass, field
from pathlib import Path

from common.config import Config
from common.errors import UserError
from common.faces import open_faces


@dataclass
class Plan:
    """Lines of facts, and of what is missing together with where to get it."""

    title: str
    facts: list[tuple[str, str]] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    def add(self, name: str, value: str) -> None:
        self.facts.append((name, value))

    def text(self) -> str:
        """The plan as people read it."""
        width = max((len(name) for name, _ in self.facts), default=0)
        lines = [self.title, *(f"  {name:<{width}}  {value}" for name, value in self.facts)]
        lines += [f"  MISSING: {line}" for line in self.missing] or ["  nothing is missing"]
        return "\n".join(lines)


def plan_faces(plan: Plan, config: Config, root: Path) -> tuple[int | None, int | None]:
    """Add the faces to a plan; their numbers of samples and identities, as found or else as expected."""
    try:
        source = open_faces(config, root)
    except UserError as error:
        plan.missing.append(str(error))
        whole = config.faces.subset is None and config.faces.max_per_identity is None
        numbers = config.faces.samples if whole else None, config.faces.identities
        if numbers[0] and numbers[1]:
            plan.add("faces", f"{numbers[0]:,} of {numbers[1]:,} people expected in {root / config.faces.path}")
        return numbers
    plan.add("faces", f"{len(source):,} of {source.num_classes:,} people in {root / config.faces.path}")
    return len(source), source.num_classes


def free_bytes(folder: Path) -> int:
    """Room on the disk that `folder` is, or will be, on."""
    while not folder.exists():
        folder = folder.absolute().parent
    return shutil.disk_usage(folder).free


def duration_text(seconds: float) -> str:
    """Seconds, minutes or hours, in the unit people use."""
    if seconds < 60:
        return f"{seconds:,.0f} s"
    return f"{seconds / 3600:,.1f} h" if seconds >= 2 * 3600 else f"{seconds / 60:,.1f} min"


def size_text(size: float) -> str:
    """Bytes in the unit people use."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            return f"{size:,.0f} {unit}" if unit == "bytes" else f"{size:,.1f} {unit}"
        size /= 1024
    raise AssertionError
