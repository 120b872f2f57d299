"""[train]: stage two's optimiser, schedule and pace."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from common.config.section import AnyPrecision, Fraction, NotNegative, Positive, Section, Text, Workers

Verify = Literal["off", "sample", "all"]
Warm = Literal["auto", "off"]


class TrainConfig(Section):
    """Stage two's optimiser, schedule and pace. batch_size is that of one rank.

    accumulate: micro-batches a rank's batch is cut into; the head still sees all of it. ema: decay of the averaged
    weights that are exported, 0 for none. verify: compare the pixels of this many faces with what the teacher saw.
    warm: read faces and rows ahead in the background (distill/warm.py).
    """

    epochs: Positive = 26
    batch_size: Positive = 384
    lr: Annotated[float, Field(gt=0)] = 0.1
    lr_batch: NotNegative = Field(
        512, description="lr is for a global batch of this size and scales linearly; 0 takes lr as it is"
    )
    momentum: Fraction = 0.9
    weight_decay: Annotated[float, Field(ge=0)] = 5e-4
    gradient_norm: Annotated[float, Field(gt=0)] = 5.0
    accumulate: Positive = 1
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.0
    sync_batchnorm: bool = False
    schedule: Literal["step", "cosine", "polynomial", "onecycle"] = "step"
    milestones: tuple[Positive, ...] = (8, 14, 20, 25)
    power: Annotated[float, Field(gt=0)] = 2.0
    warmup_epochs: NotNegative = 1
    precision: AnyPrecision = Field(
        "float32", description="auto: bfloat16 on a GPU that has it, else float32; a run keeps what it began with"
    )
    channels_last: bool = True
    compile: bool = False
    graphs: bool = Field(False, description="record a step's launches once and replay them: one rank, one CUDA device")
    deterministic: bool = Field(False, description="the same bits on one GPU, at some cost; a CPU gives them anyway")
    photos_a_person: NotNegative = Field(
        0, description="half of every global batch is people with so many photos each; 0 draws all photos alike"
    )
    workers: Workers = 2
    seed: int = Field(0, ge=0, lt=2**63)
    log_every: Positive = 50
    keep_checkpoints: Positive = 2
    checkpoint_minutes: Annotated[float, Field(ge=0)] = Field(
        10.0, description="a log line this long after the last checkpoint writes the next; epoch ends always do"
    )
    evaluate_every: NotNegative = Field(0, description="epochs; 0 leaves evaluation to `make eval`")
    best_by: Text | None = Field(None, description="SET.METRIC of the checkpoint kept and exported as the best")
    verify: Verify = "sample"
    warm: Warm = "auto"
    track: Literal["off", "trackio", "wandb", "mlflow"] = Field(
        "off", description="an experiment tracker that is told the numbers too; must be installed, may fail"
    )

    @model_validator(mode="after")
    def _every_option_counts(self) -> Self:
        with_schedule = f"with schedule = {self.schedule!r}"
        if self.schedule == "onecycle":
            self._refuse_idle(("warmup_epochs",), with_schedule)
        if self.schedule != "step":
            self._refuse_idle(("milestones",), with_schedule)
        if self.schedule != "polynomial":
            self._refuse_idle(("power",), with_schedule)
        if not self.evaluate_every:
            self._refuse_idle(("best_by",), "with evaluate_every = 0")
        if self.photos_a_person == 1:
            raise ValueError("photos_a_person = 1 makes no pair of one person: take 2 or more, or 0")
        if self.batch_size % self.accumulate:
            raise ValueError(f"accumulate ({self.accumulate}) must divide batch_size ({self.batch_size})")
        return self
