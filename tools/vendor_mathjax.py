"""Fetch MathJax into book/_static/mathjax, so that the built book typesets its equations without the network.

One file is enough: the SVG renderer with every TeX extension needs no fonts and loads nothing later.
Needs `npm`, whose configured registry is used. Run: python tools/vendor_mathjax.py
"""

from __future__ import annotations

import hashlib
import subprocess
import tarfile
import tempfile
from pathlib import Path

VERSION = "3.2.2"  # the last of the line that Sphinx 7 configures
TARGET = Path(__file__).resolve().parents[1] / "book" / "_static" / "mathjax"
MEMBERS = {"package/es5/tex-svg-full.js": "tex-svg-full.js", "package/LICENSE": "LICENSE"}
SHA256 = {
    "tex-svg-full.js": "a4354ff94fd868aea0cc6eaaa79a57fda0588646fc46ee3700a349ee0a11cbe6",
    "LICENSE": "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30",
}


def main() -> None:
    """Download the package, check both files against their sums, and only then write them."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["npm", "pack", "--silent", f"mathjax@{VERSION}"], cwd=folder, check=True)
        with tarfile.open(next(Path(folder).glob("*.tgz"))) as archive:
            contents = {name: archive.extractfile(member).read() for member, name in MEMBERS.items()}  # type: ignore[union-attr]
    for name, content in contents.items():
        found = hashlib.sha256(content).hexdigest()
        if found != SHA256[name]:
            raise SystemExit(
                f"{name} of mathjax {VERSION} has sha256 {found}, expected {SHA256[name]}; nothing written"
            )
    TARGET.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (TARGET / name).write_bytes(content)
    print(f"mathjax {VERSION}: {', '.join(contents)} in {TARGET}")


if __name__ == "__main__":
    main()
