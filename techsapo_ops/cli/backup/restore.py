"""`techsapo restore`."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from techsapo_ops.backup.kinds import registry
from techsapo_ops.backup.repository.folder import repository_of
from techsapo_ops.backup.restore import run as operation
from techsapo_ops.backup.restore.going_back import start_servers, undo_interrupted
from techsapo_ops.backup.restore.intent import intend, into_scratch
from techsapo_ops.cli.apply.plan_view import Progress
from techsapo_ops.cli.arguments import time_of
from techsapo_ops.cli.backup.backups_view import Bars, RestoredOption, parse, telling_kinds
from techsapo_ops.cli.next_command import without
from techsapo_ops.cli.open_stack import open_stack
from techsapo_ops.cli.options import (
    BackupArgument,
    DryRunOption,
    JsonQuietOutput,
    SpecPlace,
    WaitOption,
    YesOption,
)
from techsapo_ops.cli.output import Output, interactive, require_yes
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import joined, msg
from techsapo_ops.stack.journal import START, Replaced, interrupted

if TYPE_CHECKING:
    from techsapo_ops.backup.restore.intent import Intent
    from techsapo_ops.stack.engine import Scratch
    from techsapo_ops.stack.stack import Stack


class Into(StrEnum):
    """Where a backup is restored to."""

    LIVE = "live"
    SCRATCH = "scratch"


@telling_kinds
def restore(
    which: BackupArgument = "latest",
    only: RestoredOption = None,
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="TIME",
            help="Restore the database as it was at this time, e.g. 2026-01-31T14:05:00.",
        ),
    ] = None,
    into: Annotated[
        Into,
        typer.Option(
            "--into", help="live (the stack itself), or scratch (throwaway servers for inspection)."
        ),
    ] = Into.LIVE,
    *,
    place: SpecPlace,
    yes: YesOption = False,
    instead: Annotated[
        bool,
        typer.Option(
            "--instead",
            help="For an interrupted restore that can't be undone: restore this backup instead.",
        ),
    ] = False,
    dry_run: DryRunOption = False,
    wait: WaitOption = 0.0,
    out: JsonQuietOutput,
) -> None:
    """Restore a backup or, with --to, the database at a point in time.

    Shows what will be replaced and asks for confirmation. The present data is backed up first, and restored
    if anything fails. {kinds by name} are restored only if --only names them; for the configuration, every
    file is listed. A time without a zone is in this host's time zone. Changes made in the given
    second itself are not included.

    Examples:

      techsapo restore

      techsapo restore --only mysql --to 2026-01-31T14:05:00

      techsapo restore --only config --dry-run

      techsapo restore 20260131T020000Z --into scratch
    """
    stack = open_stack(place.open())
    until = time_of("--to", to) if to is not None else None
    if into is Into.SCRATCH:
        intent = intend(stack, which, parse(only), until)
        if dry_run:
            _dry_run(intent, out)
        else:
            _scratch(stack, intent, out)
        return
    half = _half(stack, which) if instead else None
    if half is not None and not dry_run:
        start_servers(stack, half, Progress(out), wait=wait)
    elif not dry_run:
        undo_interrupted(stack, Progress(out), out.say, wait=wait)
    intent = intend(stack, which, parse(only), until)
    if dry_run:
        _dry_run(intent, out)
        return
    if not yes:
        if interactive():
            _show_intent(intent, Output())
        require_yes(msg("replace the present data?"), yes=False)
    with Bars(out, repository_of(stack)) as bars:
        if half is not None:
            done = operation.perform_instead(
                stack, intent, half, wait=wait, say=bars.say, progress=bars.progress
            )
        else:
            done = operation.perform(stack, intent, wait=wait, say=bars.say, progress=bars.progress)
    if out.as_json:
        out.json(
            {
                "backup": done.backup,
                "safety": done.safety,
                "to": until.isoformat() if until is not None else None,
                "seconds": done.seconds,
                "total_seconds": done.total_seconds,
                "targets": _targets(intent),
            }
        )
    took = joined(
        ", ",
        (msg("{kind} {seconds:.1f} s", kind=kind, seconds=seconds) for kind, seconds in done.seconds.items()),
    )
    out.say(
        msg(
            "restored {backup} in {seconds:.1f} s ({took})",
            backup=done.backup,
            seconds=done.total_seconds,
            took=took,
        )
    )
    if until is None:
        out.say(msg("the restored data was compared with the backup: no difference"))
    changed = any(registry.of(part).is_configuration for part in intent.parts)
    then = f"techsapo {'plan' if changed else 'health'}"
    if done.safety:
        named = f" --only {only}" if only is not None else ""
        out.say(
            msg("`techsapo restore {safety}{named}` undoes this restore", safety=done.safety, named=named)
        )
    out.next(then)


def _half(stack: Stack, which: str) -> Replaced | None:
    """What an interrupted restore left, for `--instead`. Raises OpsError (2) where no backup is named."""
    if which == "latest":
        raise OpsError(
            msg("--instead needs the id of a backup: name the backup that is to replace the data"),
            msg("`techsapo backup list` shows all backups"),
            exit_code=2,
        )
    entry = interrupted(stack.layout)
    return entry.facts if entry is not None and entry.step != START else None


def _targets(intent: Intent) -> dict[str, list[dict[str, str]]]:
    """Every file that would be written, by kind."""
    return {kind: [asdict(target) for target in targets] for kind, targets in intent.targets.items()}


def _dry_run(intent: Intent, out: Output) -> None:
    if out.as_json:
        out.json(
            {
                "backup": intent.backup.id,
                "parts": [
                    {"kind": p.kind, "now": intent.now[p.kind], "then": intent.then[p.kind]}
                    for p in intent.parts
                ],
                "targets": _targets(intent),
                "left": dict(intent.left),
                "stopped": list(intent.stopped),
            }
        )
        return
    _show_intent(intent, out)
    out.next(without("--dry-run"))


def _show_intent(intent: Intent, out: Output) -> None:
    """What a restore replaces; every file of it, where it is files."""
    started = intent.backup.read().started.astimezone()
    out.say(msg("backup {id}, begun {started:%Y-%m-%d %H:%M:%S}", id=intent.backup.id, started=started))
    if intent.until is not None:
        out.say(
            msg("then {log} up to {until:%Y-%m-%d %H:%M:%S}", log=intent.log, until=intent.until.astimezone())
        )
    out.table(
        ("what", "now", "", "will be"),
        [(p.kind, intent.now[p.kind] or msg("nothing"), "→", intent.then[p.kind]) for p in intent.parts],
    )
    for targets in intent.targets.values():
        # A name may be anything, and the list is what is agreed to.
        out.table(
            ("file", "", ""),
            [(t.path if t.path.isprintable() else ascii(t.path), t.what, t.why) for t in targets],
        )
    for kind, why in intent.left.items():
        out.say(msg("not restored: {kind} {why}", kind=kind, why=why))
    out.say(
        msg(
            "services stopped during the restore: {stopped}",
            stopped=", ".join(intent.stopped) or msg("nothing"),
        )
    )
    out.say(msg("the present data is backed up first, and restored if anything fails"))


def _scratch(stack: Stack, intent: Intent, out: Output) -> None:
    with Bars(out, repository_of(stack)) as bars, into_scratch(stack, intent, bars.progress) as servers:
        entries = [_server_json(kind, made) for kind, made in servers.items()]
        if out.as_json:
            out.json({"backup": intent.backup.id, "servers": entries})
        for server in entries:
            if server["enter"] is not None:
                out.data(f"{server['kind']}  {server['enter']}")
            else:
                out.data(" ".join(f"{key}={value}" for key, value in server.items() if value is not None))
        if interactive():
            typer.prompt("Press Enter to stop them", default="", show_default=False, err=True)


def _server_json(kind: str, made: Scratch) -> dict[str, object]:
    """A throwaway server in words; `enter` is the way into one that has no network."""
    password = made.password.reveal() if made.password is not None else None
    known = registry.find(kind)
    client = known.client(made) if known is not None and made.by_hand is not None else None
    return {
        "kind": kind, "host": made.address.host, "port": made.address.port, "user": made.user,
        "password": password, "container": made.container or None,
        "enter": made.by_hand(client) if made.by_hand is not None and client is not None else None,
    }  # fmt: skip
