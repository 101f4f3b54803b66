"""`techsapo audit`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from techsapo_ops.adapters.chain_records import Head
from techsapo_ops.backup.origin import State
from techsapo_ops.backup.repository import Repository, repository_of
from techsapo_ops.cli.bundles import CommandGroup
from techsapo_ops.cli.open_stack import open_stack
from techsapo_ops.cli.options import JsonOutput, SpecFile, SpecPlace
from techsapo_ops.cli.state_directory import layout_beside
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.operations.administration import actions, chain_of, verify

if TYPE_CHECKING:
    from techsapo_ops.cli.output import Output
    from techsapo_ops.operations.administration import Action, Verified

app = CommandGroup(
    no_args_is_help=True,
    help="See what was done to the stack, and whether the record of it holds, e.g. `techsapo audit show`.",
)
_TORN = msg("what it was about was not begun, or the end of what was begun before is not recorded")
_HEAD = re.compile(r"(\d{1,18})[: ]([0-9a-f]{64})")


@app.command(name="verify")
def verify_record(
    head: Annotated[
        list[str] | None,
        typer.Option(
            "--head",
            metavar="NUMBER:HASH",
            help="A record noted elsewhere, such as out of an off-site manifest.",
        ),
    ] = None,
    *,
    place: SpecPlace,
    out: JsonOutput,
) -> None:
    """See whether the record of administration was changed, cut or written anew.

    Each record names the hash of the one before it and carries a MAC. Backups note the last record of their
    time, and the file is compared with those that are here. Ends with 1 where something contradicts it.

    Examples:

      techsapo audit verify

      techsapo audit verify --json
    """
    noted = [("--head", _head(text)) for text in head or ()]
    stack = open_stack(place.open())
    of_backups, mute = _of_backups(repository_of(stack))
    chain = chain_of(stack.layout)
    found = verify(chain.read(), [*noted, *of_backups], mute)
    if out.as_json:
        out.json({"path": str(chain.path), **_verified(found)})
    else:
        _show(found, str(chain.path), out)
    if not found.ok:
        raise typer.Exit(1)


def _of_backups(repository: Repository) -> tuple[list[tuple[str, Head]], list[str]]:
    """What the backups that are here know, and sentences on those that can't be believed.

    Who rewrites the record may spoil the manifests that know better, so none is passed over in silence.
    """
    noted, mute = [], []
    for backup in repository.backups():
        origin = repository.origin(backup)
        if backup.manifest is None:
            mute.append(
                msg(
                    "backup {id} is damaged, so what it knows can't be compared: {why}",
                    id=backup.id,
                    why=backup.damage,
                )
            )
        elif origin.state is State.TAMPERED:
            mute.append(
                msg(
                    "backup {id} is tampered, so what it knows can't be compared: {why}",
                    id=backup.id,
                    why=origin.why,
                )
            )
        elif backup.manifest.administration is not None:
            noted.append((msg("backup {id}", id=backup.id), backup.manifest.administration))
    return noted, mute


def _show(found: Verified, path: str, out: Output) -> None:
    for each in found.breaks:
        out.data(msg("{path}:{line}: {why}", path=path, line=each.line, why=each.why))
    for sentence in found.elsewhere:
        out.data(sentence)
    for line, size in found.closed:
        out.say(
            msg(
                "{path}:{line}: here a power cut or a kill cut a record short, at {size} bytes; {torn}",
                path=path,
                line=line,
                size=size,
                torn=_TORN,
            )
        )
    if found.torn:
        out.say(
            msg(
                "the last {torn} bytes are of a record that a power cut or a kill cut short; "
                "{torn2}. The next record takes their place",
                torn=found.torn,
                torn2=_TORN,
            )
        )
    if found.head is None:
        out.say(msg("nothing is recorded in {path} yet", path=path))
    elif found.ok:
        compared = (
            msg("{count} backups", count=len(found.compared))
            if found.compared
            else msg("no backup knows it yet")
        )
        out.say(
            msg(
                "all {records} records hold; compared with: {compared}",
                records=found.records,
                compared=compared,
            )
        )
    if found.head is not None:
        out.data(f"{found.head.sequence}:{found.head.hash}")
    if not found.ok:
        out.say(msg('docs/administration.md, "How it is checked", says what this can mean'))


def _verified(found: Verified) -> dict[str, Any]:
    return {
        "ok": found.ok,
        "records": found.records,
        "head": f"{found.head.sequence}:{found.head.hash}" if found.head is not None else None,
        "breaks": [{"line": b.line, "why": b.why} for b in found.breaks],
        "torn_bytes": found.torn,
        "closed": [{"line": line, "bytes": size} for line, size in found.closed],
        "compared": list(found.compared),
        "elsewhere": list(found.elsewhere),
    }


@app.command()
def show(
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, help="So many, the last ones.")] = 20,
    *,
    place: SpecFile,
    out: JsonOutput,
) -> None:
    """Show what was done last: when, by whom, from where, what, and how it ended.

    Examples:

      techsapo audit show

      techsapo audit show -n 100 --json
    """
    chain = chain_of(layout_beside(place.stack_file()))
    reading = chain.read()
    done = actions(reading)[-lines:]
    if out.as_json:
        out.json([_action(action) for action in done])
    elif not done:
        out.say(msg("nothing is recorded in {path} yet", path=chain.path))
    else:
        rows = [
            (
                str(action.sequence),
                f"{action.time.astimezone():%Y-%m-%d %H:%M:%S}",
                _who(action.who),
                _from(action.who),
                action.action,
                action.outcome or msg("no end known"),
                _what(action.what),
            )
            for action in done
        ]
        out.table(("", "when", "who", "from", "did", "ended", "what"), rows)
    if reading.breaks:
        first = reading.breaks[0]
        out.warn(
            msg(
                "{path}:{line}: {why}; `techsapo audit verify` says more",
                path=chain.path,
                line=first.line,
                why=first.why,
            )
        )


def _who(who: Mapping[str, Any]) -> str:
    """The person, and as whom: `alice as root`."""
    user = str(who.get("user") or f"uid {who.get('uid', '?')}")
    person = str(who.get("login") or who.get("sudo") or user)
    return _plain(person if person == user else f"{person} as {user}")


def _from(who: Mapping[str, Any]) -> str:
    parts = (str(who.get("ssh", "")).partition(" ")[0], who.get("tty"), who.get("by"))
    told = [str(part) for part in parts if part]
    return _plain(", ".join(told[:2]))


def _what(what: Mapping[str, Any]) -> str:
    return _plain(
        "  ".join(f"{key}={_value(value)}" for key, value in what.items() if value not in (None, ""))
    )


def _value(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _plain(text: str) -> str:
    """For a terminal: who wrote the record may have been told names by others."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _action(action: Action) -> dict[str, Any]:
    return {
        "sequence": action.sequence,
        "time": action.time.isoformat(),
        "who": dict(action.who),
        "action": action.action,
        "outcome": action.outcome,
        "what": dict(action.what),
    }


def _head(text: str) -> Head:
    found = _HEAD.fullmatch(text)
    if found is None:
        raise OpsError(
            msg("--head: {text} names no record", text=repr(text)),
            msg("write its number, a colon and its hash of 64 digits"),
            exit_code=2,
        )
    return Head(int(found[1]), found[2])
