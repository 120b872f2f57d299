"""What an ablation says, as people read it: one HTML page that needs nothing else, and its tables for papers."""

from ablate.page.writing import Format, write_page

__all__ = ["Format", "write_page"]
