"""What the audit log says was spent, and the rows that keep it so where a restore makes it say less.

The same SQL for MariaDB and SQLite. Amounts are whole nano-dollars by day (UTC), API key and whether they
were simulated: what a budget's ledger of any day, month or key is seeded with. What was spent after a budget
was reset is told apart from what was spent before on that day, since it alone counts.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal

from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg

TABLE = "audit_requests"
STATUS = "restored"
"""Of a row that stands for questions whose own rows a restore has taken away."""
Spent = Mapping[str, int]
"""Nano-dollars by what they belong to."""
_ID = "restored"
"""Begins the id of such a row, which the app's sums of what was spent do not have: it is looked for."""
_TIME = "00:00:01"
"""Of a row within its day, where no reset was before."""
_NANO = 1_000_000_000
_LEDGER = re.compile(r"(\d{4}-\d\d-\d\d)(?:T(\d\d:\d\d:\d\d))? ([01]) (.*)", re.DOTALL)


def query(table: str, now: datetime, resets: Iterable[datetime] = ()) -> str:
    """Begin, whether simulated, API key and USD since the month of `now` began; the key is in hexadecimal.

    The begin is a day, or the last one of `resets`, when budgets were told to start at zero, on that day.
    """
    month = f"{now.astimezone(UTC):%Y-%m}-01"
    moments = sorted({f"{reset.astimezone(UTC):%Y-%m-%d %H:%M:%S}" for reset in resets}, reverse=True)
    cases = (
        f"WHEN DATE(time) = '{moment[:10]}' AND time >= '{moment}' THEN '{moment.replace(' ', 'T')}' "
        for moment in moments
    )
    day = "CAST(DATE(time) AS CHAR)"
    begin = f"CASE {''.join(cases)}ELSE {day} END" if moments else day
    return (
        f"SELECT {begin}, simulated, HEX(COALESCE(key_id, '')), SUM(cost_usd) FROM {table}"  # noqa: S608 - our own words
        f" WHERE time >= '{month}' GROUP BY 1, 2, 3"
    )


def spent_of(rows: Sequence[Sequence[object]]) -> dict[str, int]:
    """The amounts by ledger, out of what `query` gives."""
    spent: dict[str, int] = {}
    for begin, simulated, key, usd in rows:
        name = f"{begin} {int(str(simulated))} {bytes.fromhex(str(key)).decode(errors='replace')}"
        spent[name] = round(Decimal(str(usd)) * _NANO)
    return spent


def carrying(table: str, before: Spent, after: Spent) -> list[str]:
    """Statements that add what `after` lacks of `before`: one row for each begin and key.

    Raises OpsError where `before` is none of `spent_of`.
    """
    lacking = {name: amount - after.get(name, 0) for name, amount in before.items()}
    return [_row(table, name, amount) for name, amount in lacking.items() if amount > 0]


def _row(table: str, name: str, amount: int) -> str:
    match = _LEDGER.fullmatch(name)
    if match is None:
        raise OpsError(
            msg("{name} in journal/restore.json is not a record of spending", name=repr(name[:80])),
            msg(
                "remove journal/restore.json from the state directory, then restore a backup: "
                "`techsapo restore`"
            ),
        )
    day, time, simulated, key = match.groups()
    # A cast, since a string in hexadecimal is binary: what a key is called needs no quoting so.
    key_id = f"CAST(X'{key.encode().hex()}' AS CHAR)" if key else "NULL"
    return (
        f"INSERT INTO {table} (id, time, instance, request_id, task_type, prompt_hash, providers, simulated,"  # noqa: S608 - numbers, hexadecimal and our own words
        " cache, cost_usd, status, processing_ms, key_id) VALUES "
        f"('{_ID}{secrets.token_hex(12)}', '{day} {time or _TIME}.000000', 'restore', '', '{STATUS}',"
        f" '{'0' * 64}', '[]', {simulated}, '', {Decimal(amount) / _NANO:f}, '{STATUS}', 0, {key_id})"
    )
