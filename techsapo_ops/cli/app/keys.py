"""`techsapo keys`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from techsapo_ops.adapters.unreachable import lacking
from techsapo_ops.apply.administration import begin, recorded, why
from techsapo_ops.backup.kinds.secret_files import alone_with_keys
from techsapo_ops.cli.arguments import span_of
from techsapo_ops.cli.open_stack import open_stack, topology_for
from techsapo_ops.cli.options import JsonOutput, QuietOutput, SpecPlace
from techsapo_ops.cli.typer_base import CommandGroup
from techsapo_ops.engines.at_work import among_hosts
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import Message, joined, msg, template
from techsapo_ops.services.app.rendered_spec import keys_owner
from techsapo_ops.spec.front_door import resolved_auth
from techsapo_ops.spec.user_path import user_path
from techsapo_ops.stores.key_endings import REVOKE, ROTATE, ends_of
from techsapo_ops.stores.keys import KeyFile, new_key

if TYPE_CHECKING:
    from techsapo_ops.apply.administration import Warn
    from techsapo_ops.cli.output import Output
    from techsapo_ops.cli.project import Project
    from techsapo_ops.stack.layout import Layout
    from techsapo_ops.stores.keys import ApiKey

app = CommandGroup()


_MOST = 1_000_000
"""Highest limit of a key; the app can't count money in infinities."""
_WAIT = 60.0
"""Seconds for which a command of another host is waited for."""


class PlanName(StrEnum):
    """How often a key may ask."""

    BASIC = "basic"
    STANDARD = "standard"
    PREMIUM = "premium"


class ScopeName(StrEnum):
    """What a key may do."""

    ASK = "ask"
    MONITOR = "monitor"
    ALERTS = "alerts"
    EVENTS = "events"
    LABEL = "label"


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Who or what the key is for.")],
    plan: Annotated[
        PlanName, typer.Option("--plan", help="Plan of the key: 100, 1000 or 5000 requests a minute.")
    ] = PlanName.BASIC,
    scope: Annotated[
        list[ScopeName] | None,
        typer.Option("--scope", help="What the key may do; can be given several times.", show_default="ask"),
    ] = None,
    expires: Annotated[
        str | None, typer.Option("--expires", help="Lifetime of the key, e.g. 90d.", show_default="never")
    ] = None,
    per_minute: Annotated[
        int | None,
        typer.Option(
            "--per-minute", min=1, max=_MOST, help="Requests a minute, in place of the plan's limit."
        ),
    ] = None,
    daily_usd: Annotated[
        float | None, typer.Option("--daily-usd", min=0, max=_MOST, help="USD that the key may spend a day.")
    ] = None,
    monthly_usd: Annotated[
        float | None,
        typer.Option("--monthly-usd", min=0, max=_MOST, help="USD that the key may spend a month."),
    ] = None,
    *,
    place: SpecPlace,
    out: JsonOutput,
) -> None:
    """Create an API key and show it once. A running app accepts it within a second.

    Examples:

      techsapo keys create ci --plan standard --expires 90d --monthly-usd 5
    """
    if not name.strip() or len(name) > 64 or not name.isprintable():
        raise OpsError(
            msg("{name} is not a name for a key", name=repr(name[:70])),
            msg("use 1 to 64 printable characters for the name of a key"),
            exit_code=2,
        )
    now = _now()
    until = now + span_of("--expires", expires) if expires is not None else None
    if until == now:
        raise OpsError(msg("--expires: must be longer than 0"), msg("write e.g. 12h or 90d"), exit_code=2)
    project = place.open()
    store, owner, layout = _store(project)
    what = {"name": name, "plan": plan.value, "expires": until.isoformat() if until is not None else None}
    with _alone(project, store, out), recorded(layout, msg("keys create"), what, out.warn) as known:
        keys = store.read()
        key, shown = new_key(
            name,
            plan=plan.value,
            scopes=tuple(dict.fromkeys(s.value for s in scope)) if scope else ("ask",),
            now=now,
            expires=until,
        )
        key = replace(key, per_minute=per_minute, daily_usd=daily_usd, monthly_usd=monthly_usd)
        store.write((*keys, key), owner)
        known["key"] = key.id
    if out.as_json:
        out.json({**key.public(_now()), "key": shown})
        return
    out.data(shown)
    out.say(
        msg("This is the only time that the key of {name} is shown; its id is {id}.", name=name, id=key.id)
    )
    if not resolved_auth(project.spec, project.loaded.environment).required:
        out.say(msg("This stack does not ask for keys yet: to require keys, set `app.auth.required: true`."))
    out.say(
        msg("send the key as `Authorization: Bearer KEY`; for `techsapo ask`, put it in TECHSAPO_API_KEY")
    )


@app.command(name="list")
def list_keys(*, place: SpecPlace, out: JsonOutput) -> None:
    """List the API keys, without their values."""
    store = _file(place.open())
    keys = store.read()
    if out.as_json:
        out.json([k.public(_now()) for k in keys])
        return
    if not keys:
        out.say(msg("There are no API keys."))
        out.say(msg("`techsapo keys create NAME` makes an API key"))
        return
    now = datetime.now(UTC)
    rows = [
        (
            k.id,
            k.name,
            k.state(now),
            k.plan,
            ", ".join(k.scopes),
            _day(k.created),
            _minute(k.expires) if k.expires else msg("never"),
            k.replaced_by or "-",
            _limits(k),
        )
        for k in keys
    ]
    out.table(
        ("id", "name", "state", "plan", "scopes", "created", "expires", "replaced by", "own limits"), rows
    )


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def _day(moment: datetime) -> str:
    return moment.astimezone().strftime("%Y-%m-%d")


def _minute(moment: datetime) -> str:
    return moment.astimezone().strftime("%Y-%m-%d %H:%M")


def _end(key: ApiKey) -> str:
    """When a key that was replaced ends, in words."""
    if key.revoked is not None or key.expires is None:
        return msg("is revoked")
    return msg("works until {minute}", minute=_minute(key.expires))


def _limits(key: ApiKey) -> str:
    """The limits that a key has in place of its plan's and the spec's."""
    own = (
        (key.daily_usd, template("${value:g} a day")),
        (key.monthly_usd, template("${value:g} a month")),
        (key.per_minute, template("{value} a minute")),
    )
    return (
        joined(", ", (Message(words, {"value": value}) for value, words in own if value is not None)) or "-"
    )


@app.command()
def rotate(
    which: Annotated[str, typer.Argument(help="Name or id of the key.")],
    overlap: Annotated[
        str,
        typer.Option(
            "--overlap",
            help="How long the old key keeps working, e.g. 30m; with 0, the old key ends at once.",
        ),
    ] = "24h",
    *,
    place: SpecPlace,
    out: JsonOutput,
) -> None:
    """Replace a key with a new one of the same name, plan, scopes and limits, and show the new key once.

    Both keys work until the overlap is over; then the old key ends. A rotation never extends the life of the
    old key. If the old key itself replaced a key that still works, that key ends with the old key at the
    latest. The old key's spending does not count towards the new key's own limits.

    Examples:

      techsapo keys rotate ci

      techsapo keys rotate ci --overlap 0
    """
    now = _now()
    span = span_of("--overlap", overlap) if overlap.strip() != "0" else timedelta()
    project = place.open()
    store, owner, layout = _store(project)
    what = {"which": which, "overlap": overlap}
    with _alone(project, store, out):
        with _refusal_recorded(layout, ROTATE, what, out.warn):
            rotation = store.rotation(which, now, span)
        what |= {"name": rotation.key.name, "key": rotation.key.id, **ends_of(rotation.ending)}
        with recorded(layout, ROTATE, what, out.warn):
            store.change((*rotation.ending, rotation.key), owner)
    if out.as_json:
        ending = [k.public(_now()) for k in rotation.ending]
        out.json({**rotation.key.public(_now()), "key": rotation.shown, "ending": ending})
        return
    out.data(rotation.shown)
    key = rotation.key
    out.say(
        msg(
            "This is the only time that the new key of {key} is shown; its id is {id}.",
            key=key.name,
            id=key.id,
        )
    )
    for old in rotation.ending:
        out.say(msg("The key {id}, made {day}, {end}.", id=old.id, day=_day(old.created), end=_end(old)))
    out.say(msg("send the new key as `Authorization: Bearer KEY`, in place of the old one"))


@app.command()
def revoke(
    which: Annotated[str, typer.Argument(help="Id of the key, or its name.")],
    every: Annotated[bool, typer.Option("--all", help="Revoke every key of that name.")] = False,
    *,
    place: SpecPlace,
    out: QuietOutput,
) -> None:
    """Revoke a key. It stops working within a second, without a restart.

    If several active keys have that name, none of them is revoked, and all are listed. After a rotation, the
    old and the new key have the same name until the old key ends.

    Examples:

      techsapo keys revoke ci

      techsapo keys revoke ci --all
    """
    project = place.open()
    store, owner, layout = _store(project)
    with _alone(project, store, out):
        with _refusal_recorded(layout, REVOKE, {"which": which}, out.warn):
            gone = store.revocation(which, _now(), every=every)
        with recorded(layout, REVOKE, {"which": which, **ends_of(gone)}, out.warn):
            store.change(gone, owner)
    for key in gone:
        out.say(msg("revoked the key {id} ({key})", id=key.id, key=key.name))


@contextmanager
def _refusal_recorded(layout: Layout, action: str, what: Mapping[str, Any], warn: Warn) -> Iterator[None]:
    """Record an action that the block refuses. One that it lets through is recorded with the ids it is about,
    before it is done: a restore reads them there.
    """
    try:
        yield
    except OpsError as error:
        begin(layout, action, what, warn).end("failed", {"why": why(error)}, warn)
        raise


@contextmanager
def _alone(project: Project, store: KeyFile, out: Output) -> Iterator[None]:
    """Be the only techsapo at work on the keys, from the newest on; all hosts get what comes of it."""
    with among_hosts(project.layout, _WAIT, out.say), alone_with_keys(store.path):
        yield
        # On one host who reads them reads this very file.
        if words := lacking(open_stack(project).engine.deliver() if project.spec.hosts else {}):
            out.warn(words)


def _store(project: Project) -> tuple[KeyFile, tuple[int, int] | None, Layout]:
    """The file of keys, the user of the app where that is not the one at work, and the stack's folders."""
    store = _file(project)
    owner = keys_owner(topology_for(project)) if os.geteuid() == 0 else None
    return store, owner, project.layout


def _file(project: Project) -> KeyFile:
    """The file of keys, which need not be there.

    Where the spec names a link, the file that it leads to, as for a restore: by another name it would have
    another lock, and a new file in the link's place would leave revoked keys active where it led.
    """
    named = project.spec.app.auth.keys_file
    return KeyFile(user_path(named, project.directory).resolve() if named else project.layout.api_keys)
