"""Start one program several times on this machine, with nothing between the processes: one that fails stops no other.

python -m common.processes 4 -m cache build --config configs/ms1mv2.toml

For programs that share their work through the disk (common/writers/claims.py); ranks that compute together need
torchrun (common/launch.py). Each process finds its number in RANK and LOCAL_RANK, and how many there are in
LOCAL_WORLD_SIZE. What several fail of alike is said once.
"""

import os
import signal
import subprocess
import sys
import tempfile
from types import FrameType

import click

from common.failures import SAID

# A terminal sends Ctrl-C to all of them by itself; a second one at once would end in a traceback.
INTERRUPT_SECONDS = 1.0


def main(arguments: list[str]) -> int:
    """Run `python ARGUMENTS[1:]` in ARGUMENTS[0] processes; the exit status of the first that failed, else 0.

    128 and the signal's number for one that was killed, as a shell has it. Ctrl-C and SIGTERM are handed on.
    """
    if len(arguments) < 2 or not arguments[0].isdecimal() or int(arguments[0]) < 1:
        click.echo("Error: write how many processes, then what: python -m common.processes 4 -m cache build", err=True)
        return 2
    with tempfile.TemporaryDirectory() as said:
        return _run(int(arguments[0]), arguments[1:], said)


def _run(count: int, arguments: list[str], said: str) -> int:
    running = {number: _start(number, count, arguments, said) for number in range(count)}

    def hand_on(number: int, frame: FrameType | None) -> None:
        for process in running.values():
            os.kill(process.pid, number)  # send_signal() would poll, and so take it away from `_first_failure`

    def interrupt_later(number: int, frame: FrameType | None) -> None:
        signal.setitimer(signal.ITIMER_REAL, INTERRUPT_SECONDS)

    signal.signal(signal.SIGTERM, hand_on)
    signal.signal(signal.SIGINT, interrupt_later)
    signal.signal(signal.SIGALRM, lambda number, frame: hand_on(signal.SIGINT, frame))
    return _first_failure(running)


def _start(number: int, count: int, arguments: list[str], said: str) -> subprocess.Popen[bytes]:
    ranks = {"RANK": str(number), "LOCAL_RANK": str(number), "LOCAL_WORLD_SIZE": str(count), SAID: said}
    return subprocess.Popen([sys.executable, *arguments], env={**os.environ, **ranks})


def _first_failure(running: dict[int, subprocess.Popen[bytes]]) -> int:
    """Wait for all, each taken out of `running` as it ends; the status of the one that failed first."""
    status = 0
    while running:
        # An ended one keeps its process number until `wait`: a signal handed on meanwhile finds it, and nobody else.
        ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
        assert ended is not None  # without WNOHANG it waits
        number = next((number for number, process in running.items() if process.pid == ended.si_pid), None)
        if number is None:
            os.waitpid(ended.si_pid, 0)
            continue
        code = running.pop(number).wait()
        if code < 0:
            _say_killed(number, signal.Signals(-code), len(running))
            code = 128 - code
        status = status or code
    return status


def _say_killed(number: int, by: signal.Signals, left: int) -> None:
    if by in (signal.SIGTERM, signal.SIGINT):
        return  # somebody's wish
    ended = f"process {number} was ended by {by.name}{' (is memory short?)' if by == signal.SIGKILL else ''}"
    rest = f"{left} of them {'goes' if left == 1 else 'go'} on with its work" if left else "run the same command again"
    click.echo(f"Error: {ended}: {rest}", err=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
