"""`techsapo history`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from techsapo_ops.cli.options import JsonQuietOutput, SpecFile
from techsapo_ops.cli.state_directory import layout_beside
from techsapo_ops.cli.state_words import action_word
from techsapo_ops.messages import joined, msg
from techsapo_ops.operations.apply.ledger import Ledger
from techsapo_ops.operations.apply.ledger_entry import describe_files

if TYPE_CHECKING:
    from techsapo_ops.operations.apply.ledger_entry import LedgerEntry


def history(
    *,
    place: SpecFile,
    lines: Annotated[int, typer.Option("--lines", "-n", metavar="N", min=1, help="The last N applies.")] = 20,
    out: JsonQuietOutput,
) -> None:
    """List every apply: who, when, what, and how it went. The current one is marked.

    The numbers never change: @7 is the same apply tomorrow.

    Examples:

      techsapo history

      techsapo history --json
    """
    ledger = Ledger(layout_beside(place.stack_file()).state)
    entries = ledger.entries()[-lines:]
    current = ledger.current()
    for path in ledger.damaged():
        out.warn(msg("{path} is damaged and was passed over", path=path))
    if out.as_json:
        out.json({"current": current.id if current else None, "applies": [_json(e) for e in entries]})
        return
    if not entries:
        out.say(msg("nothing was applied yet"))
        out.next("techsapo up")
        return
    out.table(
        ("", "APPLY", "TIME", "USER", "COMMAND", "RESULT", "SECONDS", "WHAT"),
        [
            (
                "*" if current is not None and entry.id == current.id else "",
                f"@{entry.id}",
                f"{entry.time.astimezone():%Y-%m-%d %H:%M:%S}",
                entry.user,
                entry.command + (f" -e {entry.environment}" if entry.environment else ""),
                entry.result,
                f"{entry.seconds:.1f}",
                _what(entry),
            )
            for entry in reversed(entries)
        ],
        right=("SECONDS",),
    )
    if len(entries) > 1:
        out.next("techsapo diff")


def _what(entry: LedgerEntry) -> str:
    if entry.reason:
        back = msg(" (went back to @{id})", id=entry.back_to) if entry.back_to is not None else ""
        return entry.reason + back
    by_action: dict[str, list[str]] = {}
    for step in entry.steps:
        by_action.setdefault(step.action, []).append(step.service)
    parts = [msg("back to @{id}", id=entry.restores)] if entry.restores is not None else []
    parts += [describe_files(entry.files)] if entry.files else []
    parts += [
        msg("{action} {services}", action=action_word(action), services=joined(", ", names))
        if len(names) <= 3
        else msg("{action} {count} services", action=action_word(action), count=len(names))
        for action, names in by_action.items()
    ]
    return joined("; ", parts) or msg("as it was")


def _json(entry: LedgerEntry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "time": entry.time.isoformat(),
        "user": entry.user,
        "command": entry.command,
        "version": entry.version,
        "engine": entry.engine,
        "environment": entry.environment,
        "spec_hash": entry.spec_hash,
        "result": entry.result,
        "reason": entry.reason,
        "restores": entry.restores,
        "back_to": entry.back_to,
        "seconds": entry.seconds,
        "files": [{"path": path, "kind": kind} for path, kind in entry.files],
        "steps": [
            {
                "action": s.action,
                "service": s.service,
                "reason": s.reason,
                "seconds": s.seconds,
                "error": s.error,
            }
            for s in entry.steps
        ],
        "images": entry.images,
    }
