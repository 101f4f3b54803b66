"""Removes what is stored of a question or of a person: texts, names, labels, records of verdicts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from techsapo_ops.apply.administration import Warn, recorded
from techsapo_ops.services.app.backup import BACKUP as AUDIT_FILES
from techsapo_ops.services.mysql.accounts import literal, name
from techsapo_ops.services.mysql.kind import Mysql
from techsapo_ops.services.mysql.session import administrator, session
from techsapo_ops.stack.stack import Stack

_EXACTLY = "BINARY "
"""MariaDB else takes `Taro`, and `taro` with a space behind it, for `taro`."""


@dataclass(frozen=True, slots=True)
class Whose:
    """What is to be removed: of the `request` of that id, or else of all that `user` asked and said."""

    request: str = ""
    user: str = ""


@dataclass(frozen=True, slots=True)
class Removed:
    """How many questions, and how many labels."""

    questions: int = 0
    labels: int = 0

    def __add__(self, other: Removed) -> Removed:
        return Removed(self.questions + other.questions, self.labels + other.labels)


def forget_answers(stack: Stack, whose: Whose, warn: Warn) -> Removed:
    """Remove it from the audit database, and from files that were one before there was MariaDB.

    A question's row stays with its cost, key, scores and outcome: budgets are rebuilt from it. The caller
    holds the stack's lock. A user's name is not recorded with it. Raises OpsError.
    """
    with recorded(stack.layout, "answers forget", {"request": whose.request} if whose.request else {}, warn):
        done = Removed()
        if stack.topology.has(Mysql.facts.kind) and stack.spec.mysql is not None:
            with session(administrator(stack)) as asking:
                asking.ask(f"USE {name(stack.spec.mysql.database)}")
                statements = _statements(whose, lambda text: _EXACTLY + literal(text))
                done += _removed(
                    [row for s in ("START TRANSACTION", *statements, "COMMIT") for row in asking.ask(s)]
                )
        for instance in AUDIT_FILES.instances(stack):
            done += _removed(AUDIT_FILES.ask(stack, instance, *_statements(whose, _quoted)))
        return done


def _removed(rows: list[list[object]] | list[list[str]]) -> Removed:
    """The two counts that the statements give; nothing of a file without the tables."""
    questions, labels = [int(str(row[0])) for row in rows] or (0, 0)
    return Removed(questions, labels)


def _quoted(text: str) -> str:
    """`text` as a string of SQLite's, which knows no backslash."""
    return "'" + text.replace("'", "''") + "'"


def _statements(whose: Whose, quoted: Callable[[str], str]) -> Iterator[str]:
    """Count both, then remove. The labels go first: they are found by the names in the questions' rows."""
    if whose.request:
        asked = said = f"request_id = {quoted(whose.request)}"
    else:
        user = quoted(whose.user)
        asked = f"(user_id = {user} OR claimed_user = {user})"
        ids = "SELECT request_id FROM audit_requests WHERE"
        # A client chooses its ids: of one that somebody else's answer has too, others may mean that answer.
        shared = f"{ids} {asked} IS NOT TRUE AND panel IS NOT NULL"
        said = f"(who = {user} OR (request_id IN ({ids} {asked}) AND request_id NOT IN ({shared})))"
    left = "(prompt_hash <> '' OR user_id IS NOT NULL OR claimed_user IS NOT NULL)"
    yield f"SELECT COUNT(*) FROM audit_requests WHERE {asked} AND {left}"  # noqa: S608 - quoted
    yield f"SELECT COUNT(*) FROM answer_labels WHERE {said}"  # noqa: S608 - quoted
    yield f"DELETE FROM answer_labels WHERE {said}"  # noqa: S608 - quoted
    nothing = ", ".join(
        f"{c} = NULL" for c in ("panel", "answer", "prompt", "sources", "user_id", "claimed_user")
    )
    yield f"UPDATE audit_requests SET prompt_hash = '', {nothing} WHERE {asked}"  # noqa: S608 - quoted
