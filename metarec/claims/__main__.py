"""`python -m metarec.claims` writes the words of every claim to `reference/claims.csv`."""

from __future__ import annotations

from pathlib import Path

from metarec.claims.ledger import PAPERS, paper, words


def main(path: Path | None = None) -> Path:
    """Write the file, and return where it is."""
    path = path or Path(__file__).parents[2] / "reference" / "claims.csv"
    words(map(paper, PAPERS)).to_csv(path, index=False, lineterminator="\n")
    return path


if __name__ == "__main__":
    print(main())
