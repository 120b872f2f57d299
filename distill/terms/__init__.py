"""Terms beside the margin head: losses between what student and teacher say of the same faces, each with a weight."""

from distill.terms.terms import Terms, build_terms

__all__ = ["Terms", "build_terms"]
