"""A copy on every machine of the backup by which a restore goes back: its own may be lost half way."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from techsapo_ops.adapters.docker import Docker
from techsapo_ops.adapters.docker_refusals import why
from techsapo_ops.adapters.files import sync_directory
from techsapo_ops.adapters.fleet import REACH_SECONDS, Fleet, Member
from techsapo_ops.adapters.packed import cannot_write
from techsapo_ops.engines.swarm import volume_container
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg

_FOLDER = "/aside"
_SECONDS = 60.0
_COPY_SECONDS = 3600.0
_PARTIAL = ".partial"
"""As the folder of backups ends names that are not whole, and removes them."""


def keep(fleet: Fleet, project: str, folder: Path) -> Mapping[str, str]:
    """Copy a backup's folder to every machine, in place of the one before; by machine why it has none."""

    def one(member: Member) -> str:
        try:
            if member.answers(REACH_SECONDS) is None:
                return msg("it does not answer")
            _remove(member, project)
            volume_container.make(member, project, _name(project), f"{_volume(project)}:{_FOLDER}")
            member.call("cp", str(folder), f"{_name(project)}:{_FOLDER}/", timeout=_COPY_SECONDS)
        except OpsError as error:
            return why(error, member.name, member.way)
        return ""

    with ThreadPoolExecutor(len(fleet.members)) as pool:
        told = dict(zip(fleet.members, pool.map(one, fleet.members.values()), strict=True))
    return {name: said for name, said in told.items() if said}


def fetch(fleet: Fleet, project: str, name: str, into: Path) -> bool:
    """Bring the copy `name` into the folder `into`; False where no machine that answers has it.

    Raises OpsError where it can't be written here.
    """
    partial = into / f"{name}{_PARTIAL}"
    try:
        into.mkdir(mode=0o700, parents=True, exist_ok=True)
        for member in fleet.members.values():
            if member.answers(REACH_SECONDS) is None:
                continue
            if partial.exists():
                shutil.rmtree(partial)
            source = f"{_name(project)}:{_FOLDER}/{name}"
            if member.attempt("cp", source, str(partial), timeout=_COPY_SECONDS).code == 0:
                partial.rename(into / name)
                sync_directory(into)
                return True
    except OSError as error:
        raise cannot_write(partial, error) from None
    return False


def forget(fleet: Fleet, project: str) -> None:
    """Remove the copies; one on a machine that does not answer goes with the next restore."""

    def one(member: Docker) -> None:
        with suppress(OpsError):  # one that went away since it was asked is one that does not answer
            if member.answers(REACH_SECONDS) is not None:
                _remove(member, project)

    with ThreadPoolExecutor(len(fleet.members)) as pool:
        list(pool.map(one, fleet.members.values()))


def _remove(member: Docker, project: str) -> None:
    member.attempt("container", "rm", "--force", _name(project), timeout=_SECONDS)
    member.attempt("volume", "rm", "--force", _volume(project), timeout=_SECONDS)


def _name(project: str) -> str:
    return f"{project}-aside"


def _volume(project: str) -> str:
    return f"{project}_aside"
