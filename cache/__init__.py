"""Stage one: run the frozen teacher once and keep what it said (the teacher cache)."""
