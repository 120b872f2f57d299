"""What the teacher thinks of the labels: probable noise and duplicate people, as lists, plots and sheets of faces."""

from cache.audit.plan import plan_audit
from cache.audit.report import audit_cache

__all__ = [
    "audit_cache",
    "plan_audit",
]
