"""Results as people read them: tables for the terminal, JSON, CSV and pictures for files, reports side by side."""

from evaluate.report.compare import comparison_table, read_reports
from evaluate.report.pair_file import PairScores, pair_path, read_pairs
from evaluate.report.report import csv_rows, write_report, write_rows
from evaluate.report.tables import results_table

__all__ = [
    "PairScores",
    "comparison_table",
    "csv_rows",
    "pair_path",
    "read_pairs",
    "read_reports",
    "results_table",
    "write_report",
    "write_rows",
]
