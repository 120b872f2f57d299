"""Ways to quantise one export, on the same faces and pairs: ranges, ends that stay float, and dynamic quantisation.

    python -m benchmarks.int8 exports/lfw-short --config configs/lfw-short.toml --data DATA

Prints each way's cosine on held-out training faces, by which defaults are chosen, and then its row on the evaluation
pairs, which choose nothing. FOLDER is left as it is.
"""

import shutil
import tempfile
from pathlib import Path

import click
import onnx
from onnxruntime.quantization import QuantType, quantize_dynamic

from common.config import load_config
from common.models import read_graph
from common.output import say
from export.account import account_in, describe
from export.gate import table
from export.measure import measure_folder
from export.onnx import FAILED, NAMES
from export.quantise import Ends, Method, agreement, calibration_faces, embedded
from export.students import CALIBRATION, HELD_OUT, quantise_folder

WAYS: list[tuple[Method, Ends]] = [
    ("percentile", "both"),
    ("percentile", "first"),
    ("percentile", "none"),
    ("minmax", "first"),
    ("entropy", "first"),
]


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--config", "path", default="configs/lfw-short.toml", show_default=True)
@click.option("--data", type=click.Path(path_type=Path), default=Path("data"), show_default=True)
@click.option("--pairs/--no-pairs", default=True, help="Measure on the experiment's sets as well.")
def main(folder: Path, path: str, data: Path, pairs: bool) -> None:
    config = load_config(path)
    with tempfile.TemporaryDirectory() as name:
        made = Path(name)
        plain = made / NAMES["float32"]
        shutil.copy(folder / NAMES["float32"], plain)
        for method, ends in WAYS:
            written = quantise_folder(made, config, data, method, ends, say=say)
            ending = FAILED if FAILED in written.name else ""
            written.rename(made / f"int8.{method}.{ends}{ending}.onnx")
        for by_channel in (False, True):
            write_dynamic(plain, made / f"int8.dynamic.{'channel' if by_channel else 'tensor'}.onnx", by_channel)
        whole = read_graph(plain)
        account = account_in(whole, plain)
        assert account is not None
        held_out = calibration_faces(config, data, CALIBRATION + HELD_OUT, account.size)[CALIBRATION:]
        reference = embedded(whole, held_out)
        for file in sorted(made.glob("int8.*")):
            found = agreement(embedded(read_graph(file), held_out), reference)
            say(f"{file.name:<32} {found.mean:.5f} {found.q01:.5f}  {file.stat().st_size / plain.stat().st_size:.2f}")
        if pairs:
            sets = {name: data / path for name, path in config.evaluate.sets.items()}
            for line in table(measure_folder(made, sets, say=say)):
                say(line)


def write_dynamic(plain: Path, target: Path, by_channel: bool) -> None:
    """Weights uint8, ranges of activations found in every call."""
    account = account_in(read_graph(plain), plain)
    assert account is not None
    quantize_dynamic(plain, target, weight_type=QuantType.QUInt8, per_channel=by_channel)
    graph = onnx.load(target)
    describe(graph, {**account.model_dump(exclude={"thresholds"}), "precision": "int8"})
    onnx.save(graph, target)


if __name__ == "__main__":
    main()
