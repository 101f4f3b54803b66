"""`techsapo answers forget` on the audit logs in SQLite files; on MariaDB see tests/lab/app."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from techsapo_ops.apply.forget_answers import Whose, _statements
from techsapo_ops.cli.main import app
from techsapo_ops.services.mysql.accounts import literal
from techsapo_ops.stores.audit.spool import AuditCall, AuditRow
from techsapo_ops.stores.audit.store import AuditStore
from techsapo_ops.stores.labels.rows import Label
from techsapo_ops.stores.labels.store import LabelStore
from techsapo_ops.wallbounce.feedback.judged import judged

NOW = datetime(2026, 12, 2, tzinfo=UTC)
CALL = AuditCall("gpt", "m", "answer", "success", 0.25, 1, 1, 1)
NAME = "o'neill\\"


def row(number: int, request: str, user: str | None, claimed: str | None = None) -> AuditRow:
    return AuditRow(
        f"{number:032}", NOW, "app", request, user_id=user, claimed_user=claimed, prompt_hash=f"k1.{number}",
        prompt="a question of theirs", answer="an answer to them", panel="{}", sources=("runbook.md",),
        cost_usd=0.25, status="accepted", confidence=0.9, key_id="key", calls=(CALL,),
    )  # fmt: skip


@pytest.fixture
def place(tmp_path: Path) -> list[str]:
    """A stack with the audit logs of two instances, one of which was scaled away."""
    (tmp_path / "techsapo.yaml").write_text("project: lab\nengine: native\nredis: {enabled: false}\n")
    for instance, rows in {
        "app": [row(1, "r1", NAME), row(2, "r2", "ben"), row(3, "r3", "ben", NAME)],
        "app-2": [row(4, "r4", NAME)],
    }.items():
        folder = tmp_path / ".techsapo" / "data" / instance
        folder.mkdir(parents=True)
        store, labels = AuditStore(None, folder / "audit.sqlite"), LabelStore(None, folder / "audit.sqlite")
        store.insert(rows)
        for number, (request, who) in enumerate([("r1", "ben"), ("r1", "cho"), ("r2", NAME), ("r2", "cho")]):
            labels.add(Label(f"{number:032}", request, who, "right", None, NOW, "cli"))
        store.close()
        labels.close()
    return ["--file", str(tmp_path / "techsapo.yaml")]


def forget(place: list[str], *words: str) -> Result:
    return CliRunner().invoke(app, ["answers", "forget", *words, *place])


def read(place: list[str], sql: str, instance: str = "app") -> list[Any]:
    file = Path(place[1]).parent / ".techsapo" / "data" / instance / "audit.sqlite"
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute(sql).fetchall()


LEFT = """SELECT request_id FROM audit_requests WHERE prompt_hash <> '' AND prompt IS NOT NULL
          AND answer IS NOT NULL AND panel IS NOT NULL AND sources IS NOT NULL ORDER BY 1"""
GONE = """SELECT request_id FROM audit_requests WHERE prompt_hash = '' AND
          COALESCE(prompt, answer, panel, sources, user_id, claimed_user) IS NULL ORDER BY 1"""


def test_a_request_loses_its_texts_names_and_labels_and_keeps_its_costs(place: list[str]) -> None:
    done = forget(place, "r1", "--yes")
    assert done.exit_code == 0, done.output
    assert "questions 1, labels 2" in done.output
    assert "existing backups keep" in " ".join(done.output.split())
    assert read(place, LEFT) == [("r2",), ("r3",)]
    assert read(place, GONE) == [("r1",)]
    assert read(place, "SELECT DISTINCT request_id FROM answer_labels") == [("r2",)]
    assert read(place, "SELECT SUM(cost_usd), COUNT(key_id), COUNT(confidence) FROM audit_requests") == [
        (0.75, 3, 3)
    ]
    assert read(place, "SELECT COUNT(*) FROM audit_calls") == [(3,)]
    again = forget(place, "r1", "--yes")
    assert again.exit_code == 1
    assert "nothing is stored about r1" in str(again.exception)


def test_nothing_of_it_is_left_in_the_files_pages(place: list[str]) -> None:
    file = Path(place[1]).parent / ".techsapo/data/app-2/audit.sqlite"
    assert b"a question of theirs" in file.read_bytes()
    assert forget(place, "r4", "--yes").exit_code == 0
    read(place, "PRAGMA wal_checkpoint(TRUNCATE)", "app-2")
    assert b"a question of theirs" not in file.read_bytes()


def test_a_user_loses_what_they_asked_said_and_claimed_in_every_instance(place: list[str]) -> None:
    done = forget(place, "--user", NAME, "--yes")
    assert done.exit_code == 0, done.output
    assert "questions 3, labels 3" in done.output
    assert (read(place, LEFT), read(place, GONE)) == ([("r2",)], [("r1",), ("r3",)])
    assert read(place, LEFT, "app-2") == []
    assert read(place, "SELECT request_id, who FROM answer_labels") == [("r2", "cho")]
    assert (
        judged(LabelStore(None, Path(place[1]).parent / ".techsapo/data/app-2/audit.sqlite").answered(NOW))
        == ()
    )
    history = Path(place[1]).parent / ".techsapo" / "administration"
    said = "".join(each.read_text() for each in history.rglob("*") if each.is_file())
    assert "answers forget" in said
    assert "neill" not in said, "it would stay there"


def test_labels_stay_that_others_gave_to_an_id_which_somebody_else_s_answer_has_too(place: list[str]) -> None:
    file = Path(place[1]).parent / ".techsapo" / "data" / "app" / "audit.sqlite"
    store = AuditStore(None, file)
    store.insert([row(5, "r1", "ben"), row(6, "r3", None)])
    store.close()
    labels = LabelStore(None, file)
    labels.add(Label(f"{9:032}", "r1", NAME, "wrong", None, NOW, "cli"))
    labels.close()
    assert "questions 3, labels 2" in forget(place, "--user", NAME, "--yes").output
    assert read(place, LEFT) == [("r1",), ("r2",), ("r3",)], "the others' answers of these ids"
    left = read(place, "SELECT request_id, who FROM answer_labels ORDER BY 1, 2")
    assert left == [("r1", "ben"), ("r1", "cho"), ("r2", "cho")]


@pytest.mark.parametrize(
    ("words", "code"),
    [((), 1), (("r1", "--user", "ben"), 1), (("a\nb",), 1), (("r1",), 1), (("no-such", "--yes"), 1)],
)
def test_it_takes_one_of_both_asks_first_and_leaves_all_else(
    place: list[str], words: tuple[str, ...], code: int
) -> None:
    before = list(read(place, "SELECT * FROM audit_requests")), read(place, "SELECT * FROM answer_labels")
    assert forget(place, *words).exit_code == code
    assert (read(place, "SELECT * FROM audit_requests"), read(place, "SELECT * FROM answer_labels")) == before


def test_no_name_ends_its_string_in_either_database() -> None:
    hostile = "x' OR '1'='1"
    for quoted in (lambda t: "'" + t.replace("'", "''") + "'", literal):
        for statement in _statements(Whose(user=hostile), quoted):
            assert "x'' OR ''1''=''1" in statement
            assert hostile not in statement.replace("''", "")
