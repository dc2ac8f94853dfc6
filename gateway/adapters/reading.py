"""Rows read one by one, so that one that holds what no program writes costs itself and not those beside it.

SQLite keeps what is there, whatever a column is said to hold: a disk that lies, or a hand, may leave a number where a
text belongs, text that is no UTF-8, no value at all, a body that nobody understands. Where rows are many no start
looks at all of them (`Schema.laws` are for the few values that all else hangs on), so whoever reads looks: `make`
turns a row into a value or says what is wrong with it, and such a row is left out, counted, and logged, once for each
table. It goes with age as the others do.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

import apsw
import orjson

from bellpull.contract.errors import ContractError
from bellpull.contract.text import text
from bellpull.runtime.logs import logger
from gateway.adapters.meter import Meter
from gateway.adapters.moment import is_moment, moment

__all__ = ["Found", "LeftOut", "OddValueError", "json_of", "select", "text_of", "time_of", "whole"]

_T = TypeVar("_T")
_K = TypeVar("_K", bound=str)
_log = logger("gateway.files")
_TOP: Final = 2**53
_REMEMBERED: Final = 10_000
_TODO: Final = (
    "it counts no more, what is beside it does; look at the disk, and at who else writes to the file: "
    "neither a kill nor a power cut does this"
)


class OddValueError(Exception):
    """What no program writes; the message says where and what."""


@dataclass(frozen=True, slots=True)
class Found(Generic[_T]):
    """What was found: the values that could be read, how many rows there were, and the number of the last."""

    values: list[_T]
    count: int
    last: int


class LeftOut:
    """The rows of one file that are left out, for as long as the process runs."""

    def __init__(self, path: Path, meter: Meter | None) -> None:
        self._path = path
        self._meter = meter
        self._rows: set[tuple[str, int]] = set()
        self._tables: set[str] = set()

    def reading(
        self, table: str, query: str, values: Any, make: Callable[[Any], _T]
    ) -> Callable[[apsw.Connection], Found[_T]]:
        """Return a job that runs a query, whose first column is the row's number, and makes values of its rows.

        Args:
            table: for the log.
            query: the first column has to be called `number`.
            values: its parameters.
            make: is given a row; raises `OddValueError` or `ContractError` for what is left out.
        """

        def job(connection: apsw.Connection) -> Found[_T]:
            rows = select(connection, query, values)
            made = list(self._made(table, rows, make))
            return Found(made, len(rows), rows[-1][0] if rows else 0)

        return job

    def _made(self, table: str, rows: Sequence[tuple[int, Any]], make: Callable[[Any], _T]) -> Iterator[_T]:
        for number, values in rows:
            try:
                if values is None:
                    raise OddValueError("a text is no UTF-8")  # noqa: TRY301 - as what `make` finds
                yield make(values)
            except (OddValueError, ContractError) as error:
                self.note(table, number, str(error))

    def note(self, table: str, number: int, problem: str) -> None:
        """Count a row that is left out, or a part of it, once; of very many some are counted again."""
        if (table, number) in self._rows:
            return
        if len(self._rows) >= _REMEMBERED:
            self._rows.clear()
        self._rows.add((table, number))
        if self._meter is not None:
            self._meter.left_out()
        if table not in self._tables:
            self._tables.add(table)
            _log.error(
                "a row holds what no program writes, and is left out",
                file=str(self._path),
                table=table,
                row=number,
                problem=problem,
                todo=_TODO,
            )


def select(connection: apsw.Connection, query: str, values: Any) -> list[tuple[int, Any]]:
    """Return the rows of a query, each beside its number; none in place of one with a text that is no UTF-8.

    Args:
        connection: of whoever reads.
        query: the first column is the number, and is called so.
        values: its parameters.
    """
    try:
        rows: list[Any] = connection.execute(query, values).fetchall()
    except UnicodeDecodeError:
        with connection:
            found: list[Any] = connection.execute(f"SELECT number FROM ({query})", values).fetchall()  # noqa: S608
            each = list(_each(connection.execute(query, values)))
        return [(number, row) for (number,), row in zip(found, each, strict=True)]
    return [(row[0], row) for row in rows]


def _each(cursor: apsw.Cursor) -> Iterator[Any]:
    while True:
        try:
            row: Any = next(cursor)
        except StopIteration:
            return
        except UnicodeDecodeError:
            yield None
        else:
            yield row


def whole(value: Any, name: str) -> int:
    """Return a count or a number.

    Raises:
        OddValueError: it is none.
    """
    if not isinstance(value, int) or not 0 <= value < _TOP:
        raise OddValueError(f"{name} is no whole number from 0 to 2^53")
    return value


def time_of(value: Any, name: str) -> datetime:
    """Return a time that was stored.

    Raises:
        OddValueError: it is none.
    """
    if not is_moment(value):
        raise OddValueError(f"{name} is no time")
    return moment(value)


def text_of(value: Any, name: str, kind: type[_K] | None = None) -> Any:
    """Return a text, of a kind where one is given.

    Raises:
        OddValueError: it is no text.
        ContractError: it is not of that kind.
    """
    if not isinstance(value, str):
        raise OddValueError(f"{name} is no text")
    return value if kind is None else text(kind, value, name)


def json_of(value: Any, name: str) -> Any:
    """Return what JSON says.

    Raises:
        OddValueError: it is none.
    """
    if not isinstance(value, bytes):
        raise OddValueError(f"{name} is no bytes")
    try:
        return orjson.loads(value)
    except ValueError:
        raise OddValueError(f"{name} is no JSON") from None
