"""The bibliography of the book, entry by entry."""

from __future__ import annotations

from difflib import get_close_matches

from metarec.errors import MetarecError
from metarec.paths import BIBLIOGRAPHY


def entries() -> dict[str, str]:
    """BibTeX entries by key, as they stand in the file."""
    found = {}
    for block in BIBLIOGRAPHY.read_text(encoding="utf-8").split("\n@"):
        text = block if block.startswith("@") else "@" + block
        if "{" in text and "," in text:
            found[text.split("{", 1)[1].split(",", 1)[0].strip()] = text.strip()
    return found


def cite(name: str) -> str:
    """The entries whose key holds `name`, such as a method or a data set; `MetarecError` if there is none."""
    known = entries()
    found = [text for key, text in known.items() if name.lower() in key.lower()]
    if not found:
        near = get_close_matches(name.lower(), known, 3, 0.5) or list(known)
        raise MetarecError(f"nothing to cite under {name!r}; try one of {', '.join(near)}.")
    return "\n\n".join(found)
