"""Many students of one cache: planned, run, compared by statistics a reviewer accepts, shown on one page. Begun."""
