"""A shard that shrinks under a reader is named; other bus errors are none of its business."""

import os
import signal
from collections.abc import Callable

import numpy as np
import pytest

from cache.format.arrays import write_part
from cache.format.layout import Layout
from cache.format.mapping import RowWindow

LAYOUT = Layout(views=1, samples=4096, dim=16, classes=2, dtype="float32", shard_rows=2048, chunk_rows=1024)


@pytest.fixture
def window(tmp_path) -> RowWindow:
    for shard in range(2):
        write_part(tmp_path, LAYOUT, "embedding", 0, shard, np.ones((2048, 16), np.float32))
    return RowWindow(tmp_path, LAYOUT, "embedding")


def in_child(act: Callable[[], object]) -> tuple[int, str]:
    """Wait status and standard error of a forked process."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(writing, 2)
        signal.signal(signal.SIGBUS, signal.SIG_DFL)
        try:
            act()
        finally:
            os._exit(77)
    os.close(writing)
    with os.fdopen(reading) as said:
        text = said.read()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), text


def test_a_shard_cut_while_it_is_read_is_named(window, tmp_path):
    file = tmp_path / "embedding/c/0/1/0"
    size = file.stat().st_size

    def read_and_cut() -> None:
        assert window.take(0, np.array([4000])).all()
        os.truncate(file, 8)
        window.take(0, np.array([4000]))

    code, said = in_child(read_and_cut)
    line = f"Error: {file}: cut to 8 of {size} bytes while it was read: mend it with `python -m cache repair`\n"
    assert (code, said) == (2, line)


def test_another_bus_error_ends_the_process_as_ever(window):
    def die() -> None:
        window.take(0, np.array([1]))
        os.kill(os.getpid(), signal.SIGBUS)
        os.kill(os.getpid(), signal.SIGBUS)

    assert in_child(die) == (-signal.SIGBUS, "")
