"""Many students of one cache: a file of points and seeds, planned, run, read back, compared, shown on one page."""
