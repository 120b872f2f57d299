"""Evaluation: a model and faces in; tables, plots and reports out. It knows nothing of training or of caches."""
