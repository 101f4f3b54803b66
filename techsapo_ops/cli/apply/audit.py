"""`techsapo audit`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any

import typer

from techsapo_ops.adapters.chain import Break, Chain, Reading
from techsapo_ops.apply.administration import actions, chain_of
from techsapo_ops.backup.repository.folder import Repository, repository_of
from techsapo_ops.cli.open_stack import open_stack
from techsapo_ops.cli.options import JsonOutput, SpecFile, SpecPlace
from techsapo_ops.cli.place import layout_beside
from techsapo_ops.cli.typer_base import CommandGroup
from techsapo_ops.messages import msg

app = CommandGroup(
    no_args_is_help=True,
    help="Show what was done to the stack, and check that record, e.g. `techsapo audit show`.",
)


@app.command()
def verify(*, place: SpecPlace, out: JsonOutput) -> None:
    """Check whether the record of administration was changed, truncated or rewritten.

    Each record contains the hash of the record before it. Each backup notes the last record at the time of
    the backup, and the record of administration is compared with all local backups. The exit code is 1 if
    anything does not match.

    Examples:

      techsapo audit verify

      techsapo audit verify --json
    """
    stack = open_stack(place.open())
    chain = chain_of(stack.layout)
    reading = chain.read()
    backups, problems = _compared(repository_of(stack), reading)
    problems = [*(_broken(chain, each) for each in reading.breaks), *problems]
    last = f"{reading.head.sequence}:{reading.head.hash}" if reading.head is not None else None
    if out.as_json:
        out.json(
            {
                "path": str(chain.path),
                "ok": not problems,
                "records": len(reading.records),
                "head": last,
                "problems": problems,
            }
        )
    for line in problems:
        out.data(line)
    if reading.torn:
        out.say(
            msg(
                "the last {torn} bytes are an incomplete record, left by a power cut or a kill. Either the "
                "action did not begin, or its end was not recorded. The next record overwrites these bytes",
                torn=reading.torn,
            )
        )
    out.data(last) if last is not None else out.say(msg("nothing is recorded in {path} yet", path=chain.path))
    if problems:
        out.say(msg('docs/administration.md, "How it is checked", describes the check'))
        raise typer.Exit(1)
    if last is not None:
        out.say(
            msg(
                "all {records} records are intact, and {count} backups agree with them",
                records=len(reading.records),
                count=backups,
            )
        )


def _broken(chain: Chain, at: Break) -> str:
    return msg("{path}:{line}: {why}", path=chain.path, line=at.line, why=at.why)


def _compared(repository: Repository, reading: Reading) -> tuple[int, list[str]]:
    """How many backups that are here note a record, and in sentences which of them contradict the file.

    Who rewrites the record may spoil the manifests that know better, so none is passed over in silence.
    """
    known = {record.head for record in reading.records}
    count, problems = 0, []
    for backup in repository.backups():
        origin = repository.origin(backup)
        if backup.manifest is None or not origin.ours:
            problems.append(
                msg(
                    "backup {id} is damaged or not from this stack, so it can't be compared: {why}",
                    id=backup.id,
                    why=backup.damage or origin.why,
                )
            )
        elif (head := backup.manifest.administration) is not None:
            count += 1
            if head not in known:
                problems.append(
                    msg(
                        "record {number} does not match backup {id}: the record of administration was "
                        "truncated or rewritten",
                        id=backup.id,
                        number=head.sequence,
                    )
                )
    return count, problems


@app.command()
def show(
    lines: Annotated[
        int, typer.Option("--lines", "-n", min=1, help="How many of the last actions to show.")
    ] = 20,
    *,
    place: SpecFile,
    out: JsonOutput,
) -> None:
    """Show the last actions: when, who, from where, what, and the outcome.

    Examples:

      techsapo audit show

      techsapo audit show -n 100 --json
    """
    chain = chain_of(layout_beside(place.stack_file()))
    reading = chain.read()
    done = actions(reading)[-lines:]
    if out.as_json:
        out.json([{**asdict(action), "time": action.time.isoformat()} for action in done])
    elif not done:
        out.say(msg("nothing is recorded in {path} yet", path=chain.path))
    else:
        rows = [
            (
                str(each.sequence),
                f"{each.time.astimezone():%Y-%m-%d %H:%M:%S}",
                _who(each.who),
                _from(each.who),
                each.action,
                each.outcome or msg("end not recorded"),
                _what(each.what),
            )
            for each in done
        ]
        out.table(("", "when", "who", "from", "did", "ended", "what"), rows)
    if reading.breaks:
        broken = _broken(chain, reading.breaks[0])
        out.warn(msg("{broken}; for details, run `techsapo audit verify`", broken=broken))


def _who(who: Mapping[str, Any]) -> str:
    """The person, and as whom: `alice as root`."""
    user = str(who.get("user") or f"uid {who.get('uid', '?')}")
    person = str(who.get("login") or who.get("sudo") or user)
    return person if person == user else f"{person} as {user}"


def _from(who: Mapping[str, Any]) -> str:
    parts = (str(who.get("ssh", "")).partition(" ")[0], who.get("tty"), who.get("by"))
    return ", ".join([str(part) for part in parts if part][:2])


def _what(what: Mapping[str, Any]) -> str:
    shown = {k: ",".join(map(str, v)) if isinstance(v, list) else v for k, v in what.items()}
    return "  ".join(f"{key}={value}" for key, value in shown.items() if value not in (None, ""))
