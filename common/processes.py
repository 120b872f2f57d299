"""Start one program several times on this machine, with nothing between the processes: one that fails stops no other.

python -m common.processes 4 -m cache build --config configs/ms1mv2.toml

For programs that share their work through the disk (common/writers/claims.py); ranks that compute together need
torchrun (common/launch.py). Each process finds its number in RANK and LOCAL_RANK, and how many there are in
LOCAL_WORLD_SIZE.
"""

import os
import signal
import subprocess
import sys
from types import FrameType

import click


def main(arguments: list[str]) -> int:
    """Run `python ARGUMENTS[1:]` in ARGUMENTS[0] processes; the exit status of the first that failed, else 0.

    128 and the signal's number for one that was killed, as a shell has it. Ctrl-C and SIGTERM are handed on.
    """
    if not arguments or not arguments[0].isdigit() or int(arguments[0]) < 1:
        click.echo("Error: write how many processes first: python -m common.processes 4 -m cache build", err=True)
        return 2
    count = int(arguments[0])
    processes = [_start(number, count, arguments[1:]) for number in range(count)]

    handed_on: set[int] = set()

    def hand_on(number: int, frame: FrameType | None) -> None:
        handed_on.add(number)
        for process in processes:
            process.send_signal(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, hand_on)
    return _first_failure(processes, handed_on)


def _start(number: int, count: int, arguments: list[str]) -> subprocess.Popen[bytes]:
    ranks = {"RANK": str(number), "LOCAL_RANK": str(number), "LOCAL_WORLD_SIZE": str(count)}
    return subprocess.Popen([sys.executable, *arguments], env={**os.environ, **ranks})


def _first_failure(processes: list[subprocess.Popen[bytes]], handed_on: set[int]) -> int:
    """Wait for all; the status of the one that failed first. A signal that was handed on is nobody's failure."""
    running, status = dict(enumerate(processes)), 0
    while running:
        pid, raw = os.wait()
        number = next((number for number, process in running.items() if process.pid == pid), None)
        if number is None:
            continue
        del running[number]
        code = os.waitstatus_to_exitcode(raw)
        processes[number].returncode = code  # so that nothing is sent to a process number that is another's by now
        if code < 0:
            name = signal.Signals(-code).name
            if -code not in handed_on:
                click.echo(
                    f"Error: process {number} was ended by {name}: is memory short? {len(running)} go on with its work",
                    err=True,
                )
            code = 128 - code
        status = status or code
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
