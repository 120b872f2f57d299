"""The demo's teacher: a MobileFaceNet that has seen far more procedural people than the demo has.

    python -m demo train-teacher

writes demo/teacher.safetensors, which is committed. It learns in three stages, each from the network before it:

1. half-size faces, regression of the numbers that each person was drawn from (a luxury that real faces do not offer;
   it reaches in minutes what a softmax over thousands of people needs hours of a laptop for);
2. half-size faces, margin softmax over the people, its class centres starting at their mean embeddings;
3. the same at full size, to settle filters and batch norms where they will be used.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from common.backbones import build_backbone
from common.faces import FaceSource, epoch_order, open_source
from common.models import UNIT_RGB, Preset, write_tensors
from common.progress import progress
from demo.dataset import FIRST_TEACHER_PERSON, write_people
from demo.identity import draw_identity
from distill.head import build_head

WEIGHTS = Path(__file__).parent / "teacher.safetensors"
PRELU_START = 0.25


@dataclass(frozen=True)
class Stage:
    """Steps at one face size; the learning rate rises to `lr` in a tenth of them and falls to zero."""

    goal: str  # "traits" or "people"
    pixels: int
    steps: int
    lr: float


@dataclass(frozen=True)
class Recipe:
    """How the committed weights were made."""

    backbone: str = "mobilefacenet_0.375"
    embedding_size: int = 128
    identities: int = 4000
    photos: int = 12
    stages: tuple[Stage, ...] = (
        Stage("traits", 56, 1000, 3e-3),
        Stage("people", 56, 1500, 2e-3),
        Stage("people", 112, 300, 1e-3),
    )
    batch_size: int = 64
    weight_decay: float = 0.01
    scale: float = 32.0
    margin: float = 0.2
    seed: int = 0


def train_teacher(work: Path, target: Path = WEIGHTS, recipe: Recipe = Recipe()) -> None:
    """Make the teacher's faces in `work` (kept for the next time), train, and write float16 weights to `target`."""
    people = range(FIRST_TEACHER_PERSON, FIRST_TEACHER_PERSON + recipe.identities)
    folder = work / f"{recipe.identities}x{recipe.photos}"
    if not (folder / "property").exists():
        write_people(folder, people, recipe.photos)
    faces = open_source(folder)
    torch.manual_seed(recipe.seed)
    network = build_backbone(recipe.backbone, recipe.embedding_size)
    for number, stage in enumerate(recipe.stages):
        pixels = load_pixels(faces, stage.pixels)
        with_plain_slopes(network).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        tail = _stretch_to_tail(network)
        if stage.goal == "traits":
            run_stage(network, TraitError(traits_of(people), recipe), pixels, faces.labels, recipe, stage, number)
        else:
            centers = class_means(network, pixels, faces.labels)
            run_stage(network, PeopleError(centers, recipe), pixels, faces.labels, recipe, stage, number)
        tail.remove()
        write_weights(network, recipe, target)


def traits_of(people: range) -> Tensor:
    """(people, traits) float32: the numbers of each identity, every column with mean 0 and deviation 1."""
    names = [field.name for field in fields(draw_identity(0)) if field.name not in ("number", "spots", "hair_style")]
    rows = [
        np.concatenate([np.atleast_1d(getattr(draw_identity(person), name)) for name in names]) for person in people
    ]
    table = np.array(rows)
    return torch.from_numpy(((table - table.mean(0)) / table.std(0)).astype(np.float32))


class TraitError(nn.Module):
    """Mean squared error of the traits as a linear function of the embedding."""

    def __init__(self, traits: Tensor, recipe: Recipe) -> None:
        super().__init__()
        self.traits = traits
        self.readout = nn.Linear(recipe.embedding_size, traits.shape[1])

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        return F.mse_loss(self.readout(embeddings), self.traits[labels])


class PeopleError(nn.Module):
    """CosFace over the people, with learned class centres."""

    def __init__(self, centers: Tensor, recipe: Recipe) -> None:
        super().__init__()
        options = {"margin": "cosface", "centers": "learned", "s": recipe.scale, "m": recipe.margin}
        self.head = build_head(options, *centers.shape)
        with torch.no_grad():
            self.head.centers.weight.copy_(centers)

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        return self.head(embeddings, None, labels, 0.0).loss


def run_stage(
    network: nn.Module,
    error: Callable[[Tensor, Tensor], Tensor],
    pixels: np.ndarray,
    labels: np.ndarray,
    recipe: Recipe,
    stage: Stage,
    number: int,
) -> None:
    """Train network and error on uint8 (N,P,P,3) faces with AdamW."""
    assert isinstance(error, nn.Module)
    parameters = [*network.parameters(), *error.parameters()]
    optimiser = torch.optim.AdamW(parameters, stage.lr, weight_decay=recipe.weight_decay)
    steps_per_epoch = len(labels) // recipe.batch_size
    losses: list[float] = []
    network.train()
    with progress(f"teacher: {stage.goal}, {stage.pixels} pixels", stage.steps, unit="steps") as advance:
        for step in range(stage.steps):
            epoch, at = divmod(step, steps_per_epoch)
            if at == 0:
                order = epoch_order(len(labels), epoch, recipe.seed + number)
            rows = order[at * recipe.batch_size :][: recipe.batch_size]
            optimiser.param_groups[0]["lr"] = stage.lr * _rise_and_fall(step / stage.steps)
            optimiser.zero_grad()
            loss = error(
                network(_input(_mirror_some(pixels[rows], rows + epoch))), torch.from_numpy(labels[rows]).long()
            )
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
            advance(1)
            if (step + 1) % 50 == 0:
                print(f"{stage.goal} at {stage.pixels}: step {step + 1}, loss {np.mean(losses[-50:]):.3f}", flush=True)


@torch.inference_mode()
def class_means(network: nn.Module, pixels: np.ndarray, labels: np.ndarray, batch: int = 64) -> Tensor:
    """(people, D) mean unit embedding of each person's photos."""
    network.eval()
    parts = [F.normalize(network(_input(pixels[start : start + batch]))) for start in range(0, len(pixels), batch)]
    sums = torch.zeros(int(labels.max()) + 1, parts[0].shape[1])
    return F.normalize(sums.index_add_(0, torch.from_numpy(labels).long(), torch.cat(parts)))


def write_weights(network: nn.Module, recipe: Recipe, target: Path) -> None:
    """Float16, with the input contract that `common.models.open_model` reads."""
    whole = build_backbone(recipe.backbone, recipe.embedding_size)
    whole.load_state_dict({**whole.state_dict(), **network.state_dict()})  # PReLU slopes are still where they began
    contract = Preset(recipe.backbone, recipe.embedding_size, (112, 112), "rgb", UNIT_RGB.mean, UNIT_RGB.std)
    halves = {key: value.half() if value.is_floating_point() else value for key, value in whole.state_dict().items()}
    write_tensors(target, halves, {**contract.to_metadata(), "made_by": "python -m demo train-teacher"})


def with_plain_slopes(network: nn.Module) -> nn.Module:
    """The network with its PReLUs at their initial slope: same function, half the time (PReLU's backward is slow)."""
    for name, layer in network.named_children():
        if isinstance(layer, nn.PReLU):
            setattr(network, name, nn.LeakyReLU(PRELU_START))
        else:
            with_plain_slopes(layer)
    return network


def load_pixels(faces: FaceSource, size: int) -> np.ndarray:
    """uint8 (N,size,size,3), all in memory."""
    pixels = np.empty((len(faces), size, size, 3), np.uint8)
    for number in range(len(faces)):
        rgb = faces.rgb(number)
        pixels[number] = rgb if size == len(rgb) else cv2.resize(rgb, (size, size), interpolation=cv2.INTER_AREA)
    return pixels


def _mirror_some(pixels: np.ndarray, turns: np.ndarray) -> np.ndarray:
    """Mirror the faces with an odd turn: each one every second epoch."""
    pixels = pixels.copy()
    pixels[turns % 2 == 1] = pixels[turns % 2 == 1, :, ::-1]
    return pixels


def _input(pixels: np.ndarray) -> Tensor:
    x = torch.from_numpy(pixels).permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.channels_last)
    return x.div_(127.5).sub_(1)


def _rise_and_fall(done: float) -> float:
    return done / 0.1 if done < 0.1 else 0.5 + 0.5 * math.cos(math.pi * (done - 0.1) / 0.9)


def _stretch_to_tail(network: nn.Module) -> torch.utils.hooks.RemovableHandle:
    """Enlarge smaller feature maps to the 7 x 7 that the global depthwise convolution weighs."""
    return network.output_layer.register_forward_pre_hook(  # type: ignore[union-attr]
        lambda module, inputs: F.interpolate(inputs[0], (7, 7), mode="bilinear")
    )
