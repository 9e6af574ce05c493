"""Import metarec with one module's text changed, to see whether a page's checks notice.

Nothing is written to the disk: the changed text is compiled in memory, all of metarec is imported afresh
around it, and the modules that were there before come back at the end.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType, ModuleType

PACKAGE = "metarec"


class _Loader(SourceFileLoader):
    """Compiles a given text in place of the file's."""

    def __init__(self, name: str, path: str, text: str):
        super().__init__(name, path)
        self.text = text

    def get_code(self, fullname: str) -> CodeType:
        return compile(self.text, self.path, "exec")


class _Finder(MetaPathFinder):
    """Finds the one changed module; all others are found as usual."""

    def __init__(self, name: str, path: Path, text: str):
        self.name, self.path, self.text = name, str(path), text

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self.name:
            return None
        return spec_from_file_location(fullname, self.path, loader=_Loader(fullname, self.path, self.text))


def _taken_out() -> dict[str, ModuleType]:
    """The imported modules of metarec, removed from the list of modules."""
    names = [name for name in sys.modules if name == PACKAGE or name.startswith(f"{PACKAGE}.")]
    return {name: sys.modules.pop(name) for name in names}


@contextmanager
def changed(path: Path, text: str, root: Path) -> Iterator[None]:
    """Within the block, `import metarec...` finds `text` in place of the file at `path`."""
    name = ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
    before = _taken_out()
    finder = _Finder(name, path, text)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        _taken_out()
        sys.modules.update(before)
