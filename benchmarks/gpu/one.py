"""One row, in this process: python -m benchmarks.gpu.one MODULE:FUNCTION DEVICE, findings into ./findings.jsonl."""

import importlib
import json
import sys
from dataclasses import asdict
from pathlib import Path

from benchmarks.gpu.place import Place
from benchmarks.gpu.runner import FINDINGS


def main(function: str, device: str) -> None:
    """Write each finding as it comes: those before a crash count."""
    module, name = function.split(":")
    folder = Path.cwd()
    with (folder / FINDINGS).open("a") as file:
        for finding in getattr(importlib.import_module(module), name)(Place.of(folder, device)):
            print(finding.line(), flush=True)
            file.write(json.dumps(asdict(finding)) + "\n")
            file.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
