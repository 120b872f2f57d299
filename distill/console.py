"""What the first rank says while a run goes on."""

from common.runtime import rank

SHOWN = ("loss", "lr", "alpha", "lam", "cos_st", "margin_scaler", "geometry", "norm", "gradient_norm")


def say(text: str) -> None:
    """A line from the first rank."""
    if rank() == 0:
        print(text, flush=True)


def numbers_text(numbers: dict[str, float]) -> str:
    """A window's numbers in one line."""
    text = " ".join(f"{name} {numbers[name]:.4g}" for name in SHOWN if name in numbers)
    return f"{text} | {numbers['faces_per_second']:,.0f} faces/s, wait {numbers['data_wait']:.0%}"


def duration_text(seconds: float) -> str:
    """Minutes, or hours where they are many."""
    return f"{seconds / 3600:,.1f} h" if seconds >= 2 * 3600 else f"{seconds / 60:,.1f} min"
