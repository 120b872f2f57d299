"""The rows of the check, in the order in which they run."""

from typing import NamedTuple

from common.config import TrainConfig


class Row(NamedTuple):
    """minutes: bound; function: `module:name`, called with a Place, yields Findings."""

    name: str
    minutes: float
    function: str
    what: str


_ALL = (
    Row("environment", 1, "environment:versions", "driver, CUDA, FAISS and onnxruntime of one kind"),
    Row("heads", 3, "heads:parity", "loss, gradients and centres of every recipe against float64 on the CPU"),
    Row("blocks", 3, "heads:blocks", "2 million classes: loss against the CPU's, memory and time of a step"),
    Row("losses", 3, "training:first_losses", "the first losses of a run, in each precision, against the CPU's"),
    Row("float16", 2, "training:scaler", "the gradient scaler: settles, and skips whole steps"),
    Row("bits", 3, "training:deterministic", "train.deterministic: the same bits twice, and what that costs"),
    Row("stops", 2, "stops:host_stops", "what stops the host in a step, by file and line"),
    Row("pace", 4, "pace:students", "a step in each precision and layout against the card's bandwidth"),
    Row("compile", 6, "variants:compiled", "train.compile: the same losses, and its pace"),
    Row("graphs", 3, "variants:graphs", "train.graphs: the same losses, and its pace"),
    Row("teacher", 6, "teachers:torch_teacher", "IR-50 in each precision: embeddings against the CPU's, pace"),
    Row("onnx", 2, "teachers:onnx_teacher", "the same graph by onnxruntime's CUDA and CPU providers, and by torch"),
    Row("cache", 4, "stages:caches", "stage one: embeddings and pixels against those of the CPU's cache"),
    Row("resume", 7, "stages:resume", "stage two killed and started again: the same bits"),
    Row("evaluation", 5, "stages:evaluation", "a student measured on the device and on the CPU"),
    Row("export", 2, "weights:exported", "weights from the device into a file and onto the CPU: the same bits"),
    Row("search", 2, "search:neighbours", "FAISS against brute force, with ties"),
    Row("loader", 3, "loader:batches", "batches of several workers, pinned: what they hold, and their pace"),
    Row("collectives", 3, "ranks:collectives", "NCCL with one rank and with all cards: sums, gathers, broadcasts"),
    Row("ranks", 4, "ranks:several_ranks", "all cards together: the first losses of one"),
    Row("failure", 2, "ranks:failure", "a rank that fails ends the job at once"),
)
# An option that this version does not have has no row.
ROWS = tuple(row for row in _ALL if row.name not in ("compile", "graphs") or row.name in TrainConfig.model_fields)
