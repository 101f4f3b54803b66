"""The images of a stack on every machine: pulled there, or built once and copied."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from techsapo_ops.adapters.docker import Docker
from techsapo_ops.adapters.fleet import Fleet
from techsapo_ops.adapters.pipes import piped
from techsapo_ops.adapters.process import TimedOut
from techsapo_ops.adapters.unreachable import reasons_of
from techsapo_ops.engines.containers.engine import build_image
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.stack.desired import ContainerUnit

_PULL_SECONDS = 1800.0
_COPY_SECONDS = 1800.0
_ASK_SECONDS = 20.0
_AWAY_SECONDS = 60.0
_BROKEN_PIPE = "broken pipe"
"""What `docker save` says where nobody takes its image any more: the reason is another one's."""


def bring(
    fleet: Fleet,
    project: str,
    config: Path,
    units: Sequence[ContainerUnit],
    say: Callable[[str], None],
) -> None:
    """Let every machine have each image, and have it alike. Raises OpsError with the machine's name.

    One that is built here is built on the first machine and copied from there: by `docker save` and `docker
    load`. The others are pulled by each machine, from their own registry or its mirror.
    """
    wanted = {unit.image: unit for unit in units}
    present = _present(fleet, list(wanted))
    first = next(iter(fleet.members))
    for image, unit in wanted.items():
        having = [name for name, ids in present.items() if image in ids]
        if unit.builds:
            source = having[0] if having else first
            if not having:
                say(msg("building the image {image} on {machine}", image=image, machine=source))
                build_image(_watched(fleet, source), project, config / unit.file, unit.service, image)
            lacking = [name for name in present if name not in having and name != source]
            if lacking:
                say(msg("copying the image {image} to {machines}", image=image, machines=", ".join(lacking)))
                _copy(fleet, source, image, lacking)
        elif lacking := [name for name in present if name not in having]:
            say(msg("pulling the image {image} on {machines}", image=image, machines=", ".join(lacking)))
            _each(lacking, partial(_pull, fleet, image))
    _require_alike(_present(fleet, list(wanted)), list(wanted))


def _present(fleet: Fleet, images: Sequence[str]) -> dict[str, dict[str, str]]:
    return fleet.each(lambda member: member.image_ids(images))


def _each(names: Sequence[str], do: Callable[[str], None]) -> None:
    with ThreadPoolExecutor(max(len(names), 1)) as pool:
        list(pool.map(do, names))


def _pull(fleet: Fleet, image: str, machine: str) -> None:
    done = _watched(fleet, machine).attempt("pull", "--quiet", image, timeout=_PULL_SECONDS)
    if done.code != 0:
        raise OpsError(
            msg(
                "{machine}: cannot pull {image}: {said}",
                machine=machine,
                image=image,
                said=fleet.members[machine].why(done),
            ),
            msg(
                "check the network of that host; or, under `images:` in the spec, name an image that the "
                "host already has"
            ),
        )


def _copy(fleet: Fleet, source: str, image: str, targets: Sequence[str]) -> None:
    """From one machine to others through here, read once; nothing of it lies on this disk."""
    save = fleet.members[source].streaming("save", image)
    loads = [fleet.members[target].streaming("load", "--quiet") for target in targets]
    try:
        saved, loaded = piped(save, loads, timeout=_COPY_SECONDS, watch=_reached(fleet, source, *targets))
    except TimedOut:
        raise OpsError(
            msg("cannot copy {image} from {source} to {target}: {said}",
                image=image, source=source, target=", ".join(targets),
                said=msg("the copy took longer than {minutes:.0f} minutes", minutes=_COPY_SECONDS / 60)),
            msg("check the network between this machine and the hosts"),
        ) from None  # fmt: skip
    stderr = saved.stderr.decode(errors="replace").strip()
    failed = {target: done for target, done in zip(targets, loaded, strict=True) if done.code != 0}
    if saved.code == 0 and not failed:
        return
    reasons: dict[str, str] = {}
    refused = failed and (saved.code == -signal.SIGPIPE or _BROKEN_PIPE in stderr)
    if saved.code != 0 and not refused:
        reasons[source] = fleet.members[source].why(saved) if stderr else msg("`docker save` failed")
    for target, done in failed.items():
        reasons[target] = fleet.members[target].why(done) if done.output else msg("`docker load` failed")
    raise OpsError(
        msg("cannot copy {image} from {source} to {target}: {said}",
            image=image, source=source, target=", ".join(failed or targets), said=reasons_of(reasons))
    )  # fmt: skip


def _reached(fleet: Fleet, *machines: str) -> Callable[[], None]:
    """Raises OpsError once one of the machines has answered nothing for a while.

    A long while: what is copied may leave little room for anything else on a slow line.
    """
    last = dict.fromkeys(machines, time.monotonic())

    def look() -> None:
        for name in machines:
            if fleet.members[name].answers(_ASK_SECONDS) is not None:
                last[name] = time.monotonic()
            elif (silent := time.monotonic() - last[name]) > _AWAY_SECONDS:
                why = msg("no answer for {seconds:.0f} s", seconds=silent)
                raise OpsError(
                    msg("{machine} can't be reached: {why}", machine=name, why=why),
                    msg(
                        "bring host {name} back; `techsapo hosts check {name}` shows what is missing",
                        name=name,
                    ),
                )

    return look


def _watched(fleet: Fleet, machine: str) -> Docker:
    """For what may take long: it ends where the machine is lost."""
    return fleet.members[machine].watched(_reached(fleet, machine))


def _require_alike(present: dict[str, dict[str, str]], images: Sequence[str]) -> None:
    for image in images:
        ids = {name: held.get(image, "") for name, held in present.items()}
        first, *others = ids.items()
        for name, digest in others:
            if digest != first[1]:
                raise OpsError(
                    msg("{image} is not the same image on {name} as on {first}",
                        image=image, name=name, first=first[0]),
                    msg(
                        "set the image by its digest under `images:`, or remove the older image on that host"
                    ),
                )  # fmt: skip
