"""What the numbers of an ablation show and what they cannot: differences from the baseline over seeds, over pairs."""

from ablate.statistics.verdict import Verdict, lower_is_better, verdicts

__all__ = ["Verdict", "lower_is_better", "verdicts"]
