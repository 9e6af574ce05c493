"""Where things lie that come with the package: the papers' own numbers, and the bibliography."""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).parent
REFERENCE = _HERE / "_reference"
BIBLIOGRAPHY = _HERE / "references.bib"
