"""Stage two: train a student from the cache."""
