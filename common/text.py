"""Text from outside (file, model and set names) on its way to a terminal, a table or a spreadsheet."""

import hashlib
import re
import textwrap
import unicodedata

WIDTH = 80
"""Columns of what is printed, on a terminal and in a pipe."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?|[-+]?(nan|inf)", re.IGNORECASE)


def printable(text: object) -> str:
    """The text without anything a terminal would obey: control characters, escape sequences and text-direction marks
    become \\x1b, \\u202e and so on; bytes of file names that are not UTF-8 become \\xff."""
    return "".join(_visible(character) for character in str(text))


def folded(text: object) -> str:
    """The text as `printable`, in lines of at most WIDTH columns; those that a line goes on in are set in by two more.

    A word, such as a path, is never cut: it may stand alone in a line that is longer.
    """
    lines = []
    for line in map(printable, str(text).split("\n")):
        margin = " " * (len(line) - len(line.lstrip(" ")) + 2)
        lines += textwrap.wrap(
            line, WIDTH, subsequent_indent=margin, break_long_words=False, break_on_hyphens=False
        ) or [""]
    return "\n".join(lines)


def csv_cell(value: object) -> object:
    """A value for a CSV file: text that a spreadsheet would take for a formula gets an apostrophe in front.

    Numbers stay as they are.
    """
    if not isinstance(value, str):
        return value
    text = printable(value)
    return f"'{text}" if text.startswith(_FORMULA) and not _NUMBER.fullmatch(text) else text


def file_name(name: str) -> str:
    """A name from outside as part of a file's name: no spaces, brackets, slashes or anything a shell obeys, at most
    100 bytes. Names that only differ in more than spaces and brackets stay apart (eight digits of their SHA-256)."""
    spaced = re.sub(r"[ ()\[\]]+", "-", name).strip("-")
    safe = re.sub(r"[^\w.+@=-]+", "-", printable(spaced)).lstrip(".-") or "unnamed"
    if safe == spaced and len(safe.encode()) <= 100:
        return safe
    digest = hashlib.sha256(name.encode(errors="surrogateescape")).hexdigest()[:8]
    return f"{safe.encode()[:80].decode(errors='ignore')}-{digest}"


def _visible(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that was not UTF-8 (surrogateescape)
        return f"\\x{code - 0xDC00:02x}"
    if unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp"):
        return character
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
