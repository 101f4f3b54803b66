"""How a recovery looks: the one screen before it, and the table of times after it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from techsapo_ops.backup.recover.journal import DATA_MINUTES, DATA_STEPS, WHOLE_MINUTES
from techsapo_ops.backup.recover.preview import age
from techsapo_ops.backup.repository.description import NOT_TAKEN
from techsapo_ops.cli.output import document
from techsapo_ops.messages import joined, msg
from techsapo_ops.spec import NO_ENVIRONMENT

if TYPE_CHECKING:
    from techsapo_ops.backup.recover.journal import Recovered
    from techsapo_ops.backup.recover.preview import Preview
    from techsapo_ops.cli.output import Output

TITLES = {
    "fetch": msg("fetch the copy"),
    "place": msg("check the copy, place spec, secrets and keys"),
    "hosts": msg("join the hosts to one Swarm"),
    "up": msg("start the stack"),
    "restore": msg("restore and compare the data"),
    "certificates": "certificates",
    "schedule": "schedule",
    "health": "health",
}
"""Each step as a person calls it."""


def span(seconds: float) -> str:
    """A length of time for a person: `3 h 12 min`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return msg("{days} d {hours} h", days=days, hours=hours)
    if hours:
        return msg("{hours} h {minutes} min", hours=hours, minutes=minutes)
    return (
        msg("{minutes} min {rest} s", minutes=minutes, rest=rest) if minutes else msg("{rest} s", rest=rest)
    )


def show_look(look: Preview, out: Output) -> None:
    """The screen: what comes back, from when, what does not and why, what is different here."""
    then = look.copied.description
    moment = look.copied.backup.read().started.astimezone()
    origin = msg(" of host {host}", host=then.host) if then.host else ""
    out.say(
        msg(
            "stack {project}, backup {backup}{origin}, into {parent}",
            project=then.project,
            backup=then.backup,
            origin=origin,
            parent=look.draft.file.parent,
        )
    )
    out.say(
        msg(
            "data as of {moment:%Y-%m-%d %H:%M:%S}; changes of the {span} since then are lost",
            moment=moment,
            span=span(age(look.copied)),
        )
    )
    out.say(msg("environment: {name}", name=look.draft.environment or NO_ENVIRONMENT))
    out.table(
        ("what", "comes back", "from"),
        [(row.kind, row.holds if not row.why else msg("nothing"), row.server) for row in look.rows],
    )
    files: dict[str, int] = {}
    for each in look.places.placements:
        files[each.item.what] = files.get(each.item.what, 0) + 1
    out.say(
        msg("also included: spec, {files}", files=joined(", ", [what for what in files if what != "backup"]))
    )
    _show_keys(look, out)
    if outside := look.places.outside(look.draft.file.parent):
        out.table(("written outside of the folder", "what"), [(str(p.target), p.item.what) for p in outside])
    if look.differs:
        out.table(("different here", "then", "now"), look.differs)
    cannot = [(what, why) for what, why in look.cannot if what not in NOT_TAKEN]
    if cannot:
        out.table(("does not come back", "why"), cannot)
    if len(cannot) < len(look.cannot):
        never = joined("; ", [what for what, _ in look.cannot if what in NOT_TAKEN])
        out.say(msg("never part of a copy: {what}", what=never))
    for note in look.notes:
        out.say(msg("note: {note}", note=note))
    for what, remedy in look.blockers:
        out.warn(msg("{what} ({remedy})", what=what, remedy=remedy) if remedy else what)


def _show_keys(look: Preview, out: Output) -> None:
    """Which API keys will work: as of the copy, which does not know what was revoked after it."""
    if look.revoke_all_keys:
        out.say(msg("no API key will work: all are revoked"))
    elif not look.keys:
        out.say(msg("no API key will work: the copy contains no valid key"))
    else:
        out.table(
            ("API key that will work", "name", "scopes", "created", "expires"),
            [
                (
                    key.id,
                    key.name,
                    ", ".join(key.scopes),
                    f"{key.created.astimezone():%Y-%m-%d}",
                    f"{key.expires.astimezone():%Y-%m-%d %H:%M}" if key.expires else msg("never"),
                )
                for key in look.keys
            ],
        )
        if look.choice.newest is None:
            out.say(
                msg(
                    "API keys revoked in the {span} since this copy was made will be valid again; to revoke "
                    "every key, add --revoke-all-keys",
                    span=span(age(look.copied)),
                )
            )
        else:
            out.say(
                msg(
                    "API keys revoked after the latest copy ({moment:%Y-%m-%d %H:%M:%S}) will be valid "
                    "again; to revoke every key, add --revoke-all-keys",
                    moment=look.choice.newest.time.astimezone(),
                )
            )


def look_json(look: Preview) -> dict[str, Any]:
    """The same with stable keys."""
    then = look.copied.description
    return {
        "backup": then.backup,
        "snapshot": look.choice.snapshot.id,
        "project": then.project,
        "host": then.host,
        "data_of": look.copied.backup.read().started.isoformat(),
        "lost_seconds": round(age(look.copied)),
        "into": str(look.draft.file.parent),
        "environment": look.draft.environment,
        "engine": look.prospect.stack.topology.engine,
        "parts": look.rows,
        "api_keys": [] if look.revoke_all_keys else [key.public(datetime.now(UTC)) for key in look.keys],
        "files": [
            {"what": p.item.what, "was": p.item.path, "target": str(p.target), "why": p.why, "there": p.there}
            for p in look.places.placements
        ],
        "differs": [{"what": what, "then": before, "now": now} for what, before, now in look.differs],
        "cannot": [{"what": what, "why": why} for what, why in look.cannot],
        "notes": list(look.notes),
        "blockers": [{"what": what, "try": remedy} for what, remedy in look.blockers],
    }


def show_recovered(done: Recovered, out: Output) -> None:
    """The table of times beside the guide's, and what is left to do."""
    rows = [(TITLES[step], f"{seconds:.1f} s", "") for step, seconds in done.seconds.items()]
    first = len([step for step in done.seconds if step in DATA_STEPS])
    rows.insert(first, ("data back", f"{done.data_seconds:.1f} s", f"{DATA_MINUTES} min"))
    rows.append(("whole service back", f"{done.whole_seconds:.1f} s", f"{WHOLE_MINUTES} min"))
    rows.append(("since the first command", f"{done.since_began:.1f} s", ""))
    out.table(("step", "took", "the guide's"), rows, right=("took", "the guide's"))
    names = ", ".join(f"{key.id} ({key.name})" for key in done.keys)
    out.say(msg("API keys that work: {names}", names=names or msg("none")))
    out.say(
        msg(
            "the times do not include the operating system, DNS, package downloads, or "
            "waiting for your answers"
        )
    )
    for what, remedy in done.remaining:
        out.warn(msg("{what} ({remedy})", what=what, remedy=remedy) if remedy else what)


def recovered_json(done: Recovered) -> dict[str, Any]:
    """The same with stable keys."""
    return {
        **document(done, "keys", "since_began", "remaining"),
        "api_keys": [key.public(datetime.now(UTC)) for key in done.keys],
        "data_seconds": done.data_seconds,
        "whole_seconds": done.whole_seconds,
        "since_began_seconds": done.since_began,
        "remaining": [{"what": what, "try": remedy} for what, remedy in done.remaining],
    }
