"""Turn maintenance on and off: users are asked to come back later, and everything else keeps running."""

from __future__ import annotations

import html
import json
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from techsapo_ops.adapters.alertmanager import Alertmanager, Matcher
from techsapo_ops.adapters.files import remove_file, write_atomic
from techsapo_ops.adapters.json_files import write_json
from techsapo_ops.adapters.unreachable import lacking
from techsapo_ops.apply.administration import recorded
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.monitoring import alertmanager_of
from techsapo_ops.services.registry import kinds
from techsapo_ops.stack.layout import Layout
from techsapo_ops.stack.maintenance import (
    ALONE,
    FOLDER,
    PAGE,
    PROBLEM,
    RETRY_AFTER,
    Maintenance,
    maintenance_of,
    note,
)
from techsapo_ops.stack.places import EVERY
from techsapo_ops.stack.stack import Stack

Say = Callable[[str], None]
LONGEST_MESSAGE = 500
LONGEST_SILENCE = timedelta(hours=24)
"""Of one that nobody said an end for."""
SILENCED = (
    "ResponseTimeHigh", "ResponseTimeSlow", "ErrorBudgetBurnFast", "ErrorBudgetBurnSlow",
    "ProbeTargetFailing",
)  # fmt: skip
"""Alerts of what users notice, who know by now. What a stack is made of is watched on."""
_MATCHER = Matcher("alertname", "=~", "|".join(SILENCED))
_COMMENT = "maintenance: "


def turn_on(stack: Stack, message: str, until: datetime | None, by: str, warn: Say) -> Maintenance:
    """Tell users to come back later, from now on; again where it goes on, with other words.

    Raises OpsError where that can't be recorded or written: then nothing is changed, or the next call
    finishes it. `warn` gets a line where the silence could not be created.
    """
    if len(message) > LONGEST_MESSAGE or not message.replace("\n", " ").isprintable():
        raise OpsError(
            msg(
                "--message: use at most {longest_message} printable characters",
                longest_message=LONGEST_MESSAGE,
            ),
            msg("shorten the message, or remove its unprintable characters"),
            exit_code=2,
        )
    before = maintenance_of(stack.layout)
    made = Maintenance(message.strip(), before.since if before else datetime.now(UTC), until, by)
    what = {"message": made.message, "until": None if until is None else until.isoformat(timespec="seconds")}
    with recorded(stack.layout, msg("maintenance on"), what, warn):
        if before is not None:
            _expire(stack, warn)
        _noted(stack.layout, made)
        made = replace(made, silence=_silence(stack, made, warn))
        _noted(stack.layout, made)
        _follow(stack, warn)
    return made


def turn_off(stack: Stack, warn: Say) -> Maintenance | None:
    """Let users in again; what ended, or None where nothing went on. Raises OpsError as `turn_on`."""
    before = maintenance_of(stack.layout)
    if before is None:
        _follow(stack, warn)
        _expire(stack, lambda _: None)  # of one that was killed after its note had gone
        return None
    with recorded(stack.layout, msg("maintenance off"), {"since": before.since.isoformat()}, warn):
        try:
            remove_file(note(stack.layout))
        except OSError as error:
            raise OpsError(
                msg("cannot remove {note}: {strerror}", note=note(stack.layout), strerror=error.strerror)
            ) from None
        _follow(stack, warn)
        _expire(stack, warn)
    return before


def follow(layout: Layout) -> None:
    """Let nginx and the app have what the note says: after a kill in the middle, or new folders."""
    maintenance = maintenance_of(layout)
    for folder, fronted in _folders(layout):
        if maintenance is None:
            try:
                remove_file(folder / PROBLEM)
            except OSError as error:
                raise OpsError(
                    msg(
                        "cannot remove {folder}: {strerror}", folder=folder / PROBLEM, strerror=error.strerror
                    )
                ) from None
            continue
        folder.mkdir(mode=0o755, exist_ok=True)
        folder.chmod(0o755)
        write_atomic(folder / PAGE, page(maintenance).encode())
        (folder / ALONE).unlink(missing_ok=True) if fronted else write_atomic(folder / ALONE, b"")
        write_atomic(folder / PROBLEM, problem(maintenance).encode())


def _follow(stack: Stack, warn: Say) -> None:
    follow(stack.layout)
    if words := lacking(stack.engine.deliver()):
        warn(words)


def at_odds(layout: Layout) -> Iterator[tuple[str, str]]:
    """Where the note and a service's folder disagree: the service, and a sentence with what to do."""
    noted = os.path.lexists(note(layout))
    for folder, _ in _folders(layout):
        if os.path.lexists(folder / PROBLEM) == noted:
            continue
        reader = folder.parent.name
        if noted:
            yield (
                reader,
                msg(
                    "still serves users, although maintenance is on ({note}): run `techsapo up`",
                    note=note(layout),
                ),
            )
        else:
            yield (
                reader,
                msg(
                    "answers users with the maintenance page, although maintenance is off: run `techsapo "
                    "maintenance off`"
                ),
            )


def _folders(layout: Layout) -> Iterator[tuple[Path, bool]]:
    """The folders of the services that turn users away, native and in containers, and whether one of them is
    in front of the app there."""
    for configuration in (layout.config / places.rendered for places in EVERY):
        fronted = any(kind.balances and any((configuration / kind.name).glob("*.conf")) for kind in kinds())
        for kind in kinds():
            if kind.turns_away and (configuration / kind.name).is_dir():
                yield configuration / kind.name / FOLDER, fronted


def page(maintenance: Maintenance) -> str:
    """What a browser shows, in both languages."""
    message = f"<p>{html.escape(maintenance.message)}</p>" if maintenance.message else ""
    until = until_ja = ""
    if maintenance.until is not None:
        when = f"{maintenance.until.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        until, until_ja = f" We expect to be back at {when}.", f"{when} ごろに再開する予定です。"
    return f"""<!doctype html>
<html lang="ja">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="robots" content="noindex">
<title>メンテナンス中 / Maintenance</title>
</head>
<body>
<main>
<h1>メンテナンス中です</h1>
<p>しばらくしてから、もう一度お試しください。{until_ja}</p>
{message}
<section lang="en">
<h1>Down for maintenance</h1>
<p>Please try again later.{until}</p>
</section>
</main>
</body>
</html>
"""


def problem(maintenance: Maintenance) -> str:
    """What a program reads: RFC 9457, and OpenAI's shape under `error`."""
    detail = f"down for maintenance: {maintenance.message}" if maintenance.message else "down for maintenance"
    value = {
        "type": "urn:techsapo:problem:maintenance",
        "title": "Service Unavailable",
        "status": 503,
        "code": "maintenance",
        "detail": detail,
        "retry_after": RETRY_AFTER,
        **({} if maintenance.until is None else {"until": maintenance.until.isoformat(timespec="seconds")}),
        "error": {"message": detail, "type": "server_error", "param": None, "code": "maintenance"},
    }
    return json.dumps(value, ensure_ascii=False) + "\n"


def _noted(layout: Layout, made: Maintenance) -> None:
    write_json(note(layout), made.to_json(), 0o644)


def _silence(stack: Stack, made: Maintenance, warn: Say) -> str:
    """The id of a silence for what users notice, or "" without an Alertmanager, which would notify nobody."""
    server = _alertmanager(stack)
    if server is None:
        return ""
    now = datetime.now(UTC)
    ends = max(made.until or now + LONGEST_SILENCE, now + timedelta(minutes=1))
    try:
        return server.silence([_MATCHER], now, ends, made.by, f"{_COMMENT}{made.message}"[:300])
    except OpsError as error:
        warn(msg("alerts on symptoms that users see were not silenced: {message}", message=error.message))
        return ""


def _expire(stack: Stack, warn: Say) -> None:
    """End every silence of a maintenance: what was killed may have made one and not noted its id."""
    server = _alertmanager(stack)
    if server is None:
        return
    try:
        for silence in server.silences():
            ours = silence.matchers == (_MATCHER,) and silence.comment.startswith(_COMMENT.strip())
            if ours and silence.state != "expired":
                server.expire(silence.id)
    except OpsError as error:
        warn(msg("the silence for the maintenance was not ended: {message}", message=error.message))


def _alertmanager(stack: Stack) -> Alertmanager | None:
    with suppress(OpsError):
        return alertmanager_of(stack)
    return None
