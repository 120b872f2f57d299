"""The page that goes with a student to the Hub: every number from a file of the run, and whose terms bind it."""

from export.card.licence import RESEARCH_ONLY
from export.card.page import Licences, write_card
from export.card.run_record import read_run

__all__ = ["RESEARCH_ONLY", "Licences", "read_run", "write_card"]
