"""What an ablation says, as people read it: one HTML page that needs nothing else, and its tables for papers."""

from ablate.page.writing import write_page

__all__ = ["write_page"]
