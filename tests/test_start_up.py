"""Help, and what is wrong on the command line, come at once: nothing that computes is imported for it.

By forbidden imports, not by time, which a busy machine makes up.
"""

import json
import subprocess
import sys

import pytest

HEAVY = (
    *("torch", "numpy", "matplotlib", "zarr", "pyarrow", "onnx", "onnxruntime", "sklearn", "scipy", "cv2", "PIL"),
    *("simplejpeg", "faiss", "tensorboard", "safetensors", "huggingface_hub", "fsspec"),
)

# Every help of a program in one process; then, per module, which heavy ones are there.
ASK = """
import importlib, json, sys
from click.testing import CliRunner

main = importlib.import_module(sys.argv[1] + ".__main__").main
asked = {}
for words in ([], *([name] for name in sorted(main.commands))):
    result = CliRunner().invoke(main, [*words, "--help"])
    asked[" ".join(words)] = [result.exit_code, result.output]
    result = CliRunner().invoke(main, [*words, "--misspelt"])
    asked[" ".join([*words, "--misspelt"])] = [result.exit_code, result.output]
print(json.dumps({"asked": asked, "imported": [name for name in sys.argv[2:] if name in sys.modules]}))
"""


def answers(program: str) -> dict:
    asked = [sys.executable, "-c", ASK, program, *HEAVY]
    return json.loads(subprocess.run(asked, capture_output=True, text=True, check=True).stdout)


@pytest.mark.parametrize("program", ["cache", "distill", "evaluate", "export", "ablate", "photos", "demo"])
def test_help_and_misspelt_options_import_nothing_that_computes(program):
    said = answers(program)
    assert said["imported"] == []
    asked = said["asked"]
    commands = {words for words in asked if words and not words.endswith("--misspelt")}
    assert commands
    for words, (status, text) in asked.items():
        if words.endswith("--misspelt"):
            assert status == 2, (words, text)
            assert "No such option" in text
        else:
            assert status == 0, (words, text)
            assert "Usage:" in text
    # The list of commands says what each is for.
    listed = {line.split()[0] for line in asked[""][1].split("Commands:")[1].splitlines() if len(line.split()) > 1}
    assert commands <= listed


@pytest.mark.parametrize(
    "module", ["common.config", "common.cli", "common.launch", "common.failures", "common.doctor.__main__"]
)
def test_what_every_command_begins_with_imports_nothing_that_computes(module):
    code = f"import sys, {module}; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
