"""A mapped file that shrinks ends a process with one line."""

import subprocess
import sys
from pathlib import Path

import pytest

SHRINK = """
import os, sys
from common.bus_errors import bus_errors_named
bus_errors_named()
path = sys.argv[1]
if sys.argv[2] == "slice":
    import mmap
    with open(path, "rb") as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    read = lambda: data[500_000:500_100]
else:
    import numpy as np
    data = np.memmap(path, np.uint8, "r").reshape(-1, 1000)
    read = lambda: data[np.array([999, 3])]
read()
os.truncate(path, 10)
read()
print("never reached")
"""


@pytest.mark.parametrize("how", ["slice", "rows"])
def test_a_file_that_shrinks_under_a_map_is_one_line_and_exit_status_2(tmp_path: Path, how: str) -> None:
    (tmp_path / "shard").write_bytes(bytes(1_000_000))
    ended = subprocess.run(
        [sys.executable, "-c", SHRINK, str(tmp_path / "shard"), how], capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr.startswith("Error: a file that this process had mapped got shorter")
    assert ended.stderr.count("\n") == 1
