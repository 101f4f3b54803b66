"""`techsapo exec app sqlite`: what it answers, and that it changes nothing."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from rows import each_row

from techsapo_ops.services.app.sqlite_shell import main


@pytest.fixture
def audit(tmp_path: Path) -> str:
    path = tmp_path / "audit ?#.sqlite"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE rows (id INTEGER, said TEXT)")
        database.execute("INSERT INTO rows VALUES (1, 'a'), (2, NULL)")
    return str(path)


def test_a_statement_is_answered_with_its_columns_and_what_is_null_is_empty(
    audit: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([audit, "SELECT", "* FROM rows"]) == 0
    assert capsys.readouterr().out == "id\tsaid\n1\ta\n2\t\n"


@each_row("words", ["DELETE FROM rows", "SELECT * FROM nowhere", "nonsense"])
def test_what_would_change_something_or_is_wrong_says_so_and_ends_with_1(
    audit: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([audit, words]) == 1
    said = capsys.readouterr()
    assert (said.out, said.err[:7]) == ("", "error: ")
    main([audit, "SELECT COUNT(*) AS n FROM rows"])
    assert capsys.readouterr().out == "n\n2\n"
