"""Rows of a table in one test: every row runs, and each that fails is reported by its name.

A row costs what its own code costs. `pytest.mark.parametrize` makes a test of each row, with fixtures, a
report and a place in the collection: that is for rows that need a fresh fixture each.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import pytest

SHOWN = 60
"""Characters of a value in the name of a row."""

Test = Callable[..., None]
Names = Iterable[object] | Callable[[Any], object] | None
_SUBTESTS = inspect.Parameter("subtests", inspect.Parameter.KEYWORD_ONLY)


def each_row(names: str, rows: Iterable[Any], *, ids: Names = None) -> Callable[[Test], Test]:
    """Call the test once for each row, as `pytest.mark.parametrize` would, inside a single test.

    Args:
        names: The arguments that a row fills, separated by commas.
        rows: One value for one name, else a tuple each; a `pytest.param` with an `id` names its row.
        ids: The names of the rows, or what names a value; by default its text does.

    All rows share the fixtures of the test, but for a `tmp_path` and a `monkeypatch` of each row's own.
    """
    columns = [name.strip() for name in names.split(",")]
    table = dict(_named(columns, list(rows), ids))
    if not table:
        raise ValueError(f"no rows for {names}: such a test could not fail")

    def decorate(test: Test) -> Test:
        signature = inspect.signature(test)
        own = [p for name, p in signature.parameters.items() if name not in columns]
        nested = any(p.name == "subtests" for p in own)

        @functools.wraps(test)
        def every_row(subtests: pytest.Subtests, **given: Any) -> None:
            if nested:
                given["subtests"] = subtests
            for number, (name, row) in enumerate(table.items()):
                error = _error_of(test, row, given, number)
                if error is not None:
                    with subtests.test(name):
                        raise error

        fixtures = own if nested else [*own, _SUBTESTS]
        every_row.__signature__ = signature.replace(parameters=fixtures)  # type: ignore[attr-defined]
        return every_row

    return decorate


def _named(columns: list[str], rows: list[Any], ids: Names) -> Iterator[tuple[str, Mapping[str, Any]]]:
    used: dict[str, int] = {}
    names = None if ids is None or callable(ids) else list(ids)
    for number, row in enumerate(rows):
        values = row.values if hasattr(row, "marks") else row if len(columns) > 1 else (row,)
        if names is not None:
            name = str(names[number])
        else:
            name = getattr(row, "id", None) or "-".join(
                str(ids(v) if callable(ids) else v)[:SHOWN] for v in values
            )
        used[name] = used.get(name, 0) + 1
        yield name if used[name] == 1 else f"{name} ({used[name]})", dict(zip(columns, values, strict=True))


def _error_of(
    test: Test, row: Mapping[str, Any], given: Mapping[str, Any], number: int
) -> BaseException | None:
    arguments = {**given, **row}
    with pytest.MonkeyPatch.context() as patch:
        if "monkeypatch" in arguments:
            arguments["monkeypatch"] = patch
        if "tmp_path" in arguments:
            arguments["tmp_path"] = given["tmp_path"] / str(number)
            arguments["tmp_path"].mkdir()
        try:
            test(**arguments)
        except (Exception, pytest.fail.Exception) as error:  # noqa: BLE001 - raised again, under the row's name
            return error
    return None
