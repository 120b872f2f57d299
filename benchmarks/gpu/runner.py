"""Run a row in a process and a folder of its own, for so many minutes at most."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

from benchmarks.gpu.finding import Finding
from benchmarks.gpu.place import ROOT
from benchmarks.gpu.rows import Row

OUTPUT, FINDINGS = "output.txt", "findings.jsonl"


class Outcome(NamedTuple):
    """What a row found, in how many seconds; output: what it printed."""

    row: Row
    findings: list[Finding]
    seconds: float
    output: Path


def run_row(row: Row, folder: Path, device: str) -> Outcome:
    """Run it in `folder`, made if need be.

    A row that crashes, takes too long or finds nothing is BAD; what it found before counts.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FINDINGS).unlink(missing_ok=True)
    began, output = time.monotonic(), folder / OUTPUT
    failure = _run(row, folder, device, output)
    findings = _read(folder / FINDINGS)
    if failure is None and not findings:
        failure = "found nothing"
    if failure is not None:
        findings.append(Finding(row.name, "BAD", failure, "runs to its end"))
    return Outcome(row, findings, time.monotonic() - began, output)


def _run(row: Row, folder: Path, device: str, output: Path) -> str | None:
    """Why it did not come to its end; None where it did."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    function = row.function if "." in row.function else f"benchmarks.gpu.{row.function}"
    command = [sys.executable, "-m", "benchmarks.gpu.one", function, device]
    with output.open("w") as file:
        environment = {**os.environ, "PYTHONPATH": path}
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=file, stderr=subprocess.STDOUT)
        try:
            code = process.wait(row.minutes * 60)
        except subprocess.TimeoutExpired:
            return f"took longer than {row.minutes:g} minutes"
        finally:  # Ctrl-C as well
            end_with_descendants(process)
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return None if code == 0 else _last_line(output)


def end_with_descendants(process: "subprocess.Popen[bytes]") -> None:
    """Kill a process that still runs, and all it has started: launchers give ranks sessions of their own."""
    if process.poll() is not None:
        return
    for pid in [process.pid, *descendants(process.pid)]:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    process.wait()


def descendants(pid: int) -> list[int]:
    """Processes started by this one, by those, and so on; Linux."""
    children = defaultdict(list)
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])  # the name before it may hold anything
        except (FileNotFoundError, ProcessLookupError):
            continue
        children[parent].append(int(path.parent.name))
    found = list(children[pid])
    for child in found:
        found += children[child]
    return found


def _read(path: Path) -> list[Finding]:
    lines = path.read_text().splitlines() if path.exists() else []
    return [Finding(**json.loads(line)) for line in lines]


def _last_line(output: Path) -> str:
    lines = [line.strip() for line in output.read_text(errors="replace").splitlines() if line.strip()]
    return f"failed: {lines[-1][:200]}" if lines else "failed without a word"
