"""The drills that leave the live stack alone: a test restore, and a recovery into a scratch copy."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from techsapo_ops.adapters.folders import STATE_DIRECTORY
from techsapo_ops.backup.recover.doors import Doors
from techsapo_ops.backup.recover.journal import Asked, Desk
from techsapo_ops.backup.recover.preview import Preview, age
from techsapo_ops.backup.recover.run import Recovery
from techsapo_ops.backup.repository.folder import repository_of
from techsapo_ops.backup.repository.restic import restic_of
from techsapo_ops.backup.verify import verify_backup
from techsapo_ops.drills.report import DATA, SERVICE, Phase, Report, scratch
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.spec.models.base import is_loopback
from techsapo_ops.spec.ports import taken_ports
from techsapo_ops.spec.problems import dotted
from techsapo_ops.stack.stack import Stack

NAME = "drill-"
"""How the project of a scratch copy begins."""
_OFF: tuple[tuple[str, Any], ...] = (
    ("schedule", {"by": "none"}),
    ("notifications", None),
    ("certificates", None),
    ("nginx.certificate", None),
    ("backup.offsite", None),
    ("app.tracing", None),
    ("logs.syslog", None),
)
"""What the scratch copy has not: nothing of it may write elsewhere, order anything, or tell anybody."""
_LOOPBACK = "127.0.0.1"


def drill_restore(
    stack: Stack,
    begin: Callable[[float], Report],
    *,
    now: datetime,
    progress: Callable[[str, int], None] = lambda _kind, _bytes: None,
) -> Report:
    """Restore the newest backup as a test, and compare its time with DATA.

    Nothing of the stack itself is touched. What came since the backup was begun would be lost: the report
    has that age as `lost_seconds`. A newer backup that can't be read is a problem. Raises OpsError where the
    trial can't be made, which says nothing of the backup.
    """
    started = time.monotonic()
    trial = verify_backup(stack, deep=True, progress=progress)
    took = time.monotonic() - started
    # Where it does not restore there is no time in which it did.
    data = round(sum(part.seconds for part in trial.parts), 3) if trial.ok else None
    manifest = repository_of(stack).find(trial.id).manifest
    age = None if manifest is None else round((now - manifest.started).total_seconds())
    return replace(
        begin(took),
        phases=(Phase("data", data, DATA),),
        counts={"lost_seconds": age, **{f"{part.kind}_seconds": part.seconds for part in trial.parts}},
        facts={
            "backup": trial.id,
            **{part.kind: "restored, and equal" if part.ok else "not as backed up" for part in trial.parts},
        },
        problems=(*trial.sentences, *trial.passed_over),
        notes=tuple(filter(None, [trial.note, *(f"{p.kind}: {p.note}" for p in trial.parts if p.note)])),
    )


def drill_recover(
    stack: Stack,
    begin: Callable[[float], Report],
    doors: Doors,
    *,
    name: str,
    say: Callable[[str], None] = lambda _: None,
) -> Report:
    """Recover the newest off-site copy into a folder of its own, with ports and a project of its own.

    It has no schedule, no receivers, no certificates to order and no second place, and is gone afterwards.
    `doors` open stacks, `name` tells it from others. The live stack is not touched. Raises OpsError where it
    can't be begun, or does not come back.
    """
    restic = restic_of(stack)
    if restic is None:
        raise OpsError(
            msg("there is no off-site copy to recover from"),
            msg("set backup.offsite, then `techsapo backup`"),
        )
    with scratch(stack.layout, stack.runner, name) as folder:
        into = folder / "stack"
        into.mkdir(mode=0o755)
        desk = Desk(into / STATE_DIRECTORY)
        with desk.lock():
            recovery = Recovery(restic, into, desk, doors, say)
            asked = Asked(restic.repository, project=stack.spec.project, engine=stack.engine.name)
            recovery.begin(asked)
            recovery.fetch()
            first = _look(recovery)
            settings = tuple(settings_of(first.prospect.stack, name))
            recovery.begin(replace(asked, settings=settings))
            look = _look(recovery)
            refuse_outside(look, into)
            if look.blockers:
                what, remedy = look.blockers[0]
                raise OpsError(msg("the copy can't be recovered on this host: {what}", what=what), remedy)
            done = recovery.run(look)
        return replace(
            begin(done.whole_seconds),
            phases=(
                Phase("data", done.data_seconds, DATA),
                Phase("service", done.whole_seconds, SERVICE),
            ),
            counts={
                "lost_seconds": round(age(look.copied)),
                **{f"{step}_seconds": took for step, took in done.seconds.items()},
            },
            facts={"backup": done.backup, "snapshot": done.snapshot, "health": done.status},
            problems=tuple(what for what, _ in done.remaining),
            notes=tuple(_notes(look)),
        )


def _look(recovery: Recovery) -> Preview:
    look = recovery.preview()
    if look is None:
        raise AssertionError("a recovery that has just begun has placed its files")
    return look


def refuse_outside(look: Preview, into: Path) -> None:
    """Raises OpsError where something would be put outside of the scratch copy."""
    outside = [each.target for each in look.places.outside(into)]
    if outside:
        raise OpsError(
            msg(
                "the drill would write outside its folder, because {map} is no longer on this host",
                map=", ".join(map(str, outside[:3])),
            ),
            msg(
                "put the missing file or folder back, or remove it from the spec; then run `techsapo backup` "
                "and the drill again"
            ),
        )


def settings_of(stack: Stack, name: str) -> Iterator[str]:
    """`PATH=VALUE` of all that is another in a scratch copy of `stack`."""
    spec = stack.spec
    values: dict[str, Any] = {"project": f"{NAME}{name}", **dict(_OFF)}
    taken = list(taken_ports(spec))
    for each, port in zip(taken, _free(len(taken)), strict=True):
        values[dotted(each.path)] = port
        if not is_loopback(each.host):
            named = next((path for path in each.uses if path[-1] == "host"), (*each.path[:-1], "host"))
            values[dotted(named)] = _LOOPBACK
    return (f"{path}={json.dumps(value, ensure_ascii=False)}" for path, value in values.items())


def _free(count: int) -> list[int]:
    """So many ports that nobody listens on, all different: each is held until the last one is found."""
    held = [socket.socket() for _ in range(count)]
    try:
        for each in held:
            each.bind((_LOOPBACK, 0))
        return [int(each.getsockname()[1]) for each in held]
    finally:
        for each in held:
            each.close()


def _notes(look: Preview) -> Iterator[str]:
    yield msg("not part of this drill: operating system, DNS, package downloads, certificates and schedule")
    for what, why in look.cannot:
        yield msg("not recovered: {what}: {why}", what=what, why=why)
