"""Delimited files: read by pandas' C parser when sound, named to the line when not."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn

import numpy as np
import pandas as pd

from metarec.data.catalog import afresh
from metarec.errors import DataError

_UNIT = "\x1f"  # stands in for '::', which the C parser cannot split on
_INT64 = 2**63
_DOUBLED = re.compile(r'[^;"\\\n]""[^;"\r\n]')  # a quote inside a field, doubled: never in the official dump


@dataclass(frozen=True)
class Column:
    """A column every row must fill, unless its kind is "any". Numbers lie in `low`..`high`, ends included."""

    name: str
    kind: Literal["int", "number", "text", "any"] = "text"
    low: float = -np.inf
    high: float = np.inf

    def fault(self, cell: str) -> str | None:
        """What is wrong with this cell, or None."""
        if self.kind == "any":
            return None
        if not cell.strip():
            return f"{self.name} is empty"
        if self.kind == "text":
            return None
        try:
            value = int(cell) if self.kind == "int" else float(cell)
        except ValueError:
            return f"{self.name} {cell!r} is not a{'n integer' if self.kind == 'int' else ' number'}"
        if not np.isfinite(float(value)) or (self.kind == "int" and abs(value) >= _INT64):
            return f"{self.name} {cell!r} is not a finite number"
        if not self.low <= value <= self.high:
            return f"{self.name} {cell!r} lies outside {self.low:g}..{self.high:g}"
        return None


def read_text(path: Path, encodings: Sequence[str] = ("utf-8",)) -> str:
    """The whole file as text; the first encoding that fits wins. Trailing blank lines are dropped."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}); check the path.") from error
    raw = raw.removeprefix(b"\xef\xbb\xbf").rstrip(b"\r\n")
    if not raw:
        raise DataError(f"{path}: the file is empty; {afresh(path)}.")
    if b"\0" in raw:
        line = raw[: raw.index(b"\0")].count(b"\n") + 1
        raise DataError(f"{path}, line {line}: a NUL byte, so the file is damaged; {afresh(path)}.")
    for encoding in encodings:
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError as error:
            line = raw[: error.start].count(b"\n") + 1
    raise DataError(f"{path}, line {line}: not {encodings[-1]} text; convert the file or {afresh(path)}.")


def read_json(path: Path) -> Any:
    """The content of a JSON file; raises `DataError` naming the line where it stops being one."""
    try:
        return json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise DataError(f"{path}, line {error.lineno}: not JSON ({error.msg}); {afresh(path)}.") from error


@dataclass(frozen=True)
class Table:
    """A delimited file with one record a line.

    `columns` are the ones to read, in file order unless `header` is true, when they are found by name and
    others may stand between them. `quoted` follows the Book-Crossing dump: fields in double quotes, inner
    quotes escaped by a backslash or, in copies written by other tools, doubled. `mend` turns the fields of a
    short record into whole ones, or returns None where it cannot.
    """

    path: Path
    columns: tuple[Column, ...]
    sep: str
    header: bool = False
    quoted: bool = False
    encodings: tuple[str, ...] = ("utf-8",)
    mend: Callable[[list[str]], list[str] | None] | None = None

    def read(self) -> pd.DataFrame:
        """All rows, int64, float64 or str by column kind.

        Raises `DataError` with file, line and reason for the first row with a missing or surplus field, an
        empty cell, a cell that is not a number where one belongs, or a number out of bounds.
        """
        text = read_text(self.path, self.encodings)
        names = self._names(text)
        wanted = [c.name for c in self.columns]
        dtypes = {c.name: {"int": "int64", "number": "float64"}.get(c.kind, "str") for c in self.columns}
        sep = self.sep if len(self.sep) == 1 else _UNIT
        try:
            frame = pd.read_csv(
                io.BytesIO((text.replace(self.sep, sep) if sep != self.sep else text).encode()),
                sep=sep,
                names=names,
                header=None,
                skiprows=int(self.header),
                dtype=dtypes | {n: "str" for n in names if n not in dtypes},
                na_filter=False,
                skip_blank_lines=False,
                quoting=csv.QUOTE_MINIMAL if self.quoted else csv.QUOTE_NONE,
                escapechar=self._escape(text),
                engine="c",
            )
        except (ValueError, OverflowError, pd.errors.ParserError) as error:
            self._refuse(text, str(error))
        if not isinstance(frame.index, pd.RangeIndex) or not all(_sound(frame, c) for c in self.columns):
            self._refuse(text, "a row does not fit the columns")
        if not len(frame):
            raise DataError(f"{self.path}: a header and no rows; {afresh(self.path)}.")
        self._complete(frame, text)
        return frame[wanted]

    def records(self, text: str | None = None) -> Iterator[tuple[int, list[str]]]:
        """`(line, fields)` of every record: the slow, exact reading behind error messages and small files."""
        text = read_text(self.path, self.encodings) if text is None else text
        first = int(self.header)
        if not self.quoted:
            for number, line in enumerate(text.split("\n"), start=1):
                if number > first:
                    yield number, line.rstrip("\r").split(self.sep)
            return
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=self.sep, escapechar=self._escape(text))
        start = 1
        for number, fields in enumerate(reader):
            if number >= first:
                yield start, fields
            start = reader.line_num + 1

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """`records`, each one checked: for small files and ragged text."""
        text = read_text(self.path, self.encodings)
        names = self._names(text)
        for line, fields in self.records(text):
            fault = self._fault(names, fields)
            if fault:
                raise DataError(f"{self.path}, line {line}: {fault}; {self._mend()}.")
            yield line, fields

    def fail(self, row: int, reason: str, mend: str = "") -> NoReturn:
        """Refuse row `row` (counted from 0 in `read`'s frame), naming the line it stands on."""
        for number, (line, _) in enumerate(self.records()):
            if number == row:
                raise DataError(f"{self.path}, line {line}: {reason}; {mend or self._mend()}.")
        raise IndexError(row)

    def unique(self, frame: pd.DataFrame, keys: Sequence[str]) -> None:
        """Refuse the first row that repeats `keys`."""
        twice = frame.duplicated(list(keys)).to_numpy()
        if twice.any():
            row = int(twice.argmax())
            what = ", ".join(f"{k} {frame[k].iloc[row]}" for k in keys)
            self.fail(row, f"{what} stands there a second time", "keep one line of each")

    def known(self, frame: pd.DataFrame, key: str, ids: Sequence[object] | pd.Index, where: str) -> None:
        """Refuse the first row whose `key` is not among `ids`, which stand in the file `where`."""
        strange = ~frame[key].isin(ids).to_numpy()
        if strange.any():
            row = int(strange.argmax())
            self.fail(
                row, f"{key} {frame[key].iloc[row]} has no row in {where}", "add it there or drop the line"
            )

    def _complete(self, frame: pd.DataFrame, text: str) -> None:
        """Mend or refuse short records; the parser fills them, so they hide where the last cell is empty."""
        names = list(frame.columns)
        if frame[names[-1]].dtype.kind in "if":
            return
        suspects = (frame[names[-1]] == "").to_numpy()
        if not suspects.any():
            return
        for row, (line, fields) in enumerate(self.records(text)):
            if suspects[row] and len(fields) != len(names):
                whole = self.mend(fields) if self.mend else None
                if whole is None:
                    raise DataError(
                        f"{self.path}, line {line}: {self._fault(names, fields)}; {self._mend()}."
                    )
                frame.iloc[row] = whole

    def _mend(self) -> str:
        return f"mend or drop that line, or {afresh(self.path, 'the file')}"

    def _escape(self, text: str) -> str | None:
        return "\\" if self.quoted and not _DOUBLED.search(text) else None

    def _names(self, text: str) -> list[str]:
        if not self.header:
            return [c.name for c in self.columns]
        top = text.split("\n", 1)[0].rstrip("\r")
        names = next(csv.reader([top], delimiter=self.sep)) if self.quoted else top.split(self.sep)
        for column in self.columns:
            if column.name not in names:
                raise DataError(
                    f"{self.path}, line 1: no column {column.name!r} in the header ({', '.join(names)}); "
                    f"this is not the file the source publishes, {afresh(self.path)}."
                )
        return names

    def _fault(self, names: Sequence[str], fields: Sequence[str]) -> str | None:
        if len(fields) != len(names):
            return (
                f"{len(fields)} field{'s' * (len(fields) != 1)} instead of {len(names)} ({', '.join(names)})"
            )
        cells = dict(zip(names, fields, strict=True))
        faults = (c.fault(cells[c.name]) for c in self.columns)
        return next((f for f in faults if f), None)

    def _refuse(self, text: str, otherwise: str) -> NoReturn:
        names = self._names(text)
        for line, fields in self.records(text):
            fault = self._fault(names, fields)
            if fault:
                raise DataError(f"{self.path}, line {line}: {fault}; {self._mend()}.")
        raise DataError(f"{self.path}: cannot be read as a table ({otherwise}); {afresh(self.path)}.")


def _sound(frame: pd.DataFrame, column: Column) -> bool:
    values = frame[column.name]
    if column.kind == "any":
        return True
    if column.kind == "text":
        return bool((values.str.strip() != "").all())
    return bool(values.between(column.low, column.high).all() and np.isfinite(values).all())
