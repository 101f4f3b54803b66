"""Rows of a table in one test: every row runs, and each that fails is reported by its name.

A row costs what its own code costs. `pytest.mark.parametrize` makes a test of each row, with fixtures, a
report and a place in the collection: that is for rows that need a fresh fixture each.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import pytest

SHOWN = 60
"""Characters of a value in the name of a row."""

Test = Callable[..., None]
Names = Iterable[object] | Callable[[Any], object] | None
_SUBTESTS = inspect.Parameter("subtests", inspect.Parameter.KEYWORD_ONLY)
_PARAM = type(pytest.param())
_ENDS = (KeyboardInterrupt, pytest.exit.Exception)
"""What ends the whole run, whichever row it comes in."""
_TIMEOUT = "from pytest-timeout"
"""In what pytest-timeout says, which watches over a test once: after that nothing ends a row that hangs."""


def each_row(names: str, rows: Iterable[Any], *, ids: Names = None) -> Callable[[Test], Test]:
    """Call the test once for each row, as `pytest.mark.parametrize` would, inside a single test.

    Args:
        names: The arguments that a row fills, separated by commas.
        rows: One value for one name, else a tuple each; a `pytest.param` with an `id` names its row.
        ids: The names of the rows, or what names a value; by default its text does.

    All rows share the fixtures of the test, but for a `tmp_path` and a `monkeypatch` of each row's own, and
    for what is captured: a row finds neither logs nor output of the row before. Where rows are skipped and
    none fails, the test is skipped once all others have run, and names them.
    """
    columns = [name.strip() for name in names.split(",")]
    table = dict(_named(columns, list(rows), ids))
    if not table:
        raise ValueError(f"no rows for {names}: such a test could not fail")

    def decorate(test: Test) -> Test:
        if inspect.iscoroutinefunction(test) or inspect.isgeneratorfunction(test):
            raise TypeError(f"{test.__name__} would not run when it is called: write a plain function")
        signature = inspect.signature(test)
        own = [p for name, p in signature.parameters.items() if name not in columns]
        nested = any(p.name == "subtests" for p in own)

        @functools.wraps(test)
        def every_row(subtests: pytest.Subtests, **given: Any) -> None:
            skipped: dict[str, BaseException] = {}
            failed = False
            for number, (name, row) in enumerate(table.items()):
                if nested:
                    given["subtests"] = _Within(subtests, name)
                error = _error_of(test, row, given, number)
                if isinstance(error, pytest.skip.Exception):
                    skipped[name] = error
                elif error is not None:
                    failed = True
                    with subtests.test(name):
                        raise error
                    if _TIMEOUT in str(error):
                        return
            if skipped and not failed:
                pytest.skip("; ".join(f"{name}: {why}" for name, why in skipped.items()))

        fixtures = own if nested else [*own, _SUBTESTS]
        every_row.__signature__ = signature.replace(parameters=fixtures)  # type: ignore[attr-defined]
        return every_row

    return decorate


class _Within:
    """The subtests of one row, which its name comes before."""

    def __init__(self, subtests: Any, row: str) -> None:
        self._subtests, self._row = subtests, row

    def test(self, name: str | None = None, **values: Any) -> Any:
        return self._subtests.test(f"{self._row}-{name}" if name else self._row, **values)


def _named(columns: list[str], rows: list[Any], ids: Names) -> Iterator[tuple[str, Mapping[str, Any]]]:
    used: dict[str, int] = {}
    names = None if ids is None or callable(ids) else list(ids)
    for number, row in enumerate(rows):
        marked = isinstance(row, _PARAM)
        if marked and row.marks:
            raise ValueError(
                f"row {number + 1} has marks, which belong to a test: see pytest.mark.parametrize"
            )
        values = row.values if marked else row if len(columns) > 1 else (row,)
        if names is not None:
            name = str(names[number])
        else:
            name = getattr(row, "id", None) or "-".join(
                str(ids(v) if callable(ids) else _text(v))[:SHOWN] for v in values
            )
        used[name] = used.get(name, 0) + 1
        yield name if used[name] == 1 else f"{name} ({used[name]})", dict(zip(columns, values, strict=True))


def _text(value: object) -> str:
    """What names a value, the same in each run."""
    name = getattr(value, "__name__", None) if callable(value) else None
    return name or re.sub(r" at 0x[0-9a-f]+", "", str(value))


def _error_of(
    test: Test, row: Mapping[str, Any], given: Mapping[str, Any], number: int
) -> BaseException | None:
    arguments = {**given, **row}
    _forget(given)
    with pytest.MonkeyPatch.context() as patch:
        if "monkeypatch" in arguments:
            arguments["monkeypatch"] = patch
        if "tmp_path" in arguments:
            arguments["tmp_path"] = given["tmp_path"] / str(number)
            arguments["tmp_path"].mkdir()
        try:
            test(**arguments)
        except _ENDS:
            raise
        except BaseException as error:  # noqa: BLE001 - raised again, under the row's name
            return error
    return None


def _forget(given: Mapping[str, Any]) -> None:
    """Let a row see nothing of what was captured in the row before, and no level of its logs."""
    for name, fixture in given.items():
        if name == "caplog":
            fixture._finalize()
            fixture.clear()
        elif name == "recwarn":
            fixture.clear()
        elif re.fullmatch("cap(sys|fd)(binary)?", name):
            fixture.readouterr()
