"""Which runs an ablation file means: the file as read, its points, what each changes, the digest a run is known by.

read_ablation(path, overrides)      the file
expand(ablation, ranks)             its runs, each with the configuration of one training
"""

from ablate.points.changes import changes_text
from ablate.points.expansion import Expansion, PlannedRun, expand
from ablate.points.file import Ablation, read_ablation
from ablate.points.subsets import Cut

__all__ = ["Ablation", "Cut", "Expansion", "PlannedRun", "changes_text", "expand", "read_ablation"]
