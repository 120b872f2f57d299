"""Networks on their way out, from the command line.

python -m export run --config configs/lfw.toml --data DATA
python -m export onnx runs/lfw --out exports/lfw
python -m export quantise exports/lfw --config configs/lfw.toml --data DATA
python -m export measure exports/lfw --on lfw=lfw.bin
python -m export weights adaface_ir50_ms1mv2.ckpt ir50.safetensors
python -m export weights ir50_bare.pth ir50.safetensors --channel-order bgr
python -m export card    runs/lfw exports/lfw --faces-licence "research only"
python -m export push    exports/lfw owner/lfw-student
"""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from common.cli import Commands, check_option, data_option, experiment_options, show_plan
from common.config import ChannelOrder, Config
from common.output import say

if TYPE_CHECKING:
    from export.contract import Pixels
    from export.quantise import Ends, Method
    from export.students import Format

FORMATS = ("onnx", "fp16", "int8")


@click.group(cls=Commands)
def main() -> None:
    """Write networks in the formats in which others use them."""


class Formats(click.ParamType[tuple[str, ...]]):
    """`onnx fp16 int8`: words, each once."""

    name = "formats"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """The words; a usage error for one that is no format."""
        words = tuple(dict.fromkeys(str(value).split()))
        if strange := [word for word in words if word not in FORMATS]:
            self.fail(f"{strange[0]!r} is none of {', '.join(FORMATS)}", param, ctx)
        return words or self.fail(f"name some of {', '.join(FORMATS)}", param, ctx)


@main.command()
@experiment_options
@click.option("--formats", type=Formats(), default="onnx fp16 int8", show_default=True, help="Files to write.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the files; else exports/NAME.")
@check_option
def run(config: Config, root: Path, formats: "tuple[Format, ...]", out: Path | None, check: bool) -> None:
    """Write, quantise and measure the student of an experiment."""
    from evaluate.experiment import student_path
    from evaluate.models import open_weights
    from evaluate.sets import DEFAULT
    from export.gate import table
    from export.students import export_student, plan_export

    out = out or Path("exports") / config.name
    if check:
        return show_plan(plan_export(config, root, out, formats))
    model = open_weights(str(student_path(config)), root, "cpu", 1, DEFAULT)
    for line in table(export_student(config, root, model, out, formats, say)):
        say(line)


@main.command()
@click.argument("source")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the files.")
@data_option
@click.option("--half/--no-half", default=True, show_default=True, help="Write model.fp16.onnx as well.")
@click.option(
    "--pixels",
    type=click.Choice(["uint8", "float32"]),
    default="uint8",
    show_default=True,
    help="uint8 (B,H,W,3) or float32 (B,3,H,W), both RGB from 0 to 255.",
)
@click.option("--flip", is_flag=True, help="Give the sum over the face and its mirror image.")
@click.option("--unit", is_flag=True, help="Give embeddings of length one.")
@click.option("--keep-prelu", is_flag=True, help="Leave PRelu nodes, for compilers that fuse them.")
def onnx(
    source: str, out: Path, root: Path, half: bool, pixels: "Pixels", flip: bool, unit: bool, keep_prelu: bool
) -> None:
    """Write a face model as ONNX: SOURCE is a run's folder, weights of any supported kind, or a Hub repository."""
    from common.errors import ModelError
    from common.models import STUDENT
    from evaluate.models import open_weights
    from evaluate.sets import DEFAULT
    from export.contract import Form
    from export.onnx import export_onnx
    from export.students import account_of_run

    run_dir = Path(source)
    weights = str(run_dir / STUDENT) if (run_dir / STUDENT).exists() else source
    model = open_weights(weights, root, "cpu", 1, DEFAULT)
    precisions = ("float32", "float16") if half else ("float32",)
    written = export_onnx(model, out, Form(pixels, flip, unit), precisions, account_of_run(run_dir), keep_prelu, say)
    if failed := [one.path for one in written if not one.passed]:
        raise ModelError(f"{failed[0]}: differs too much from PyTorch, see above; do not use it")


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
@experiment_options
@click.option(
    "--method",
    type=click.Choice(["percentile", "entropy", "minmax"]),
    default="percentile",
    show_default=True,
    help="How ranges of activations are chosen.",
)
@click.option(
    "--float-ends",
    "ends",
    type=click.Choice(["both", "first", "none"]),
    default="first",
    show_default=True,
    help="Which of the first convolution and the embedding's layer stay float.",
)
def quantise(folder: Path, config: Config, root: Path, method: "Method", ends: "Ends") -> None:
    """Write model.int8.onnx beside FOLDER's model.onnx, calibrated on the experiment's training faces."""
    from export.students import quantise_folder

    quantise_folder(folder, config, root, method, ends, say=say)


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--on", "sets", multiple=True, required=True, metavar="[NAME=]PATH", help="A .bin set of pairs.")
@data_option
def measure(folder: Path, sets: tuple[str, ...], root: Path) -> None:
    """Measure the files of FOLDER against its model.onnx; what fails is renamed so."""
    from evaluate.models import named_sets
    from export.gate import table
    from export.measure import measure_folder

    for line in table(measure_folder(folder, named_sets(sets, root), say=say)):
        say(line)


@main.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--architecture", help="Only if the keys do not tell; as `architecture` in docs/teachers.md.")
@click.option("--embedding-size", type=click.IntRange(min=1))
@click.option("--channel-order", type=click.Choice(["rgb", "bgr"]), help="What the network was trained on.")
@click.option("--mean", type=float, help="Pixels 0..255 enter as (x - mean) / std.")
@click.option("--std", type=float)
def weights(
    source: Path,
    target: Path,
    architecture: str | None,
    embedding_size: int | None,
    channel_order: ChannelOrder | None,
    mean: float | None,
    std: float | None,
) -> None:
    """Write the checkpoint SOURCE as TARGET.safetensors that needs no options to open."""
    from common.models import Preset, convert_checkpoint

    stated = Preset(architecture, embedding_size, None, channel_order, mean, std)
    contract = convert_checkpoint(source, target, stated)
    say(f"{target}: " + ", ".join(f"{key} {value}" for key, value in contract.to_metadata().items()))


@main.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--faces-licence", required=True, help="Of the faces it was trained on; unknown is an answer.")
@click.option("--teacher-licence", help="Of the teacher's weights, where they are not known by digest.")
@click.option("--licence", help="Of the student's weights; else they are for research only.")
@click.option("--best", is_flag=True, help="Of best.safetensors in place of the last step's student.")
@click.option("--sheets", is_flag=True, help="Pictures of the worst errors travel, too: they show people.")
def card(
    run: Path, out: Path, faces_licence: str, teacher_licence: str | None, licence: str | None, best: bool, sheets: bool
) -> None:
    """Complete the exports in OUT to a package that can be pushed: weights of RUN, card, digests."""
    from export.card import RESEARCH_ONLY, Licences, read_run, write_card

    licences = Licences(faces_licence, teacher_licence, licence or RESEARCH_ONLY)
    say(f"card in {write_card(read_run(run, 'best' if best else 'last'), out, licences, sheets)}")


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("repo", metavar="OWNER/NAME")
@click.option("--public", is_flag=True, help="A repository that is made is not private.")
def push(folder: Path, repo: str, public: bool) -> None:
    """Send the package in FOLDER to a model repository on the HuggingFace Hub, in one commit."""
    from export.push import push as push_package

    say(f"{folder}: {push_package(folder, repo, public)} files in {repo}")


if __name__ == "__main__":
    main(prog_name="python -m export")
