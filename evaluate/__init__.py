"""Evaluation: a model and faces in, tables, plots and reports out."""
