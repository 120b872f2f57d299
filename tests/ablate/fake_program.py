"""A training and an evaluation that take no time: they write what the true ones write, and go on after a kill.

python fake_program.py train EXPERIMENT.toml STEPS SECONDS_A_STEP LOCKS
python fake_program.py evaluate EXPERIMENT.toml TEACHER
"""

import fcntl
import json
import sys
import time
import tomllib
from pathlib import Path


def train(config: dict, folder: Path, steps: int, seconds: float, locks: bool) -> None:
    handle = open(folder.with_name(f".{folder.name}.lock"), "w")  # noqa: SIM115 - held to the end of the process
    if locks:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    state = folder / "step"
    done = int(state.read_text()) if state.exists() else 0
    with open(folder / "starts.txt", "a") as starts:
        starts.write(f"{done}\n")
    if config["head"]["m"] == 0.13:
        sys.exit("Error: no such luck: try another number")
    for step in range(done + 1, steps + 1):
        time.sleep(seconds)
        state.with_suffix(".tmp").write_text(str(step))
        state.with_suffix(".tmp").replace(state)
        with open(folder / "metrics.jsonl", "a") as curves:
            curves.write(json.dumps({"step": step, "epoch": step, "faces_per_second": 100.0 + step}) + "\n")
        print(f"step {step}/{steps}", flush=True)
    (folder / "student.safetensors").write_text(f"{config['head']['m']} {config['train']['seed']}")
    (folder / "summary.json").write_text(json.dumps({"seconds": steps * 2.0, "steps": steps, "ranks": 1}))


def evaluate(config: dict, folder: Path, teacher: bool) -> None:
    with open(folder / "evaluations.txt", "a") as evaluations:
        evaluations.write(f"{teacher}\n")
    accuracy = 0.5 + config["head"]["m"] / 2 + config["train"]["seed"] / 100
    numbers = {"pairs": 20, "accuracy": accuracy, "tar_at_far": {"0.01": {"tar": accuracy / 2, "far": 0.01}}}
    results = {config["name"]: {"pairs": numbers}}
    if teacher:
        results["tiny (teacher)"] = {"pairs": {"accuracy": 0.99, "tar_at_far": {"0.01": {"tar": 0.9}}}}
    (folder / "evaluation").mkdir(exist_ok=True)
    (folder / "evaluation" / "results.json").write_text(json.dumps({"results": results, "skipped": {}}))


if __name__ == "__main__":
    experiment = tomllib.loads(Path(sys.argv[2]).read_text())
    run = Path(sys.argv[2]).parent
    if sys.argv[1] == "train":
        train(experiment, run, int(sys.argv[3]), float(sys.argv[4]), sys.argv[5] == "True")
    else:
        evaluate(experiment, run, sys.argv[3] == "True")
