"""A copy on every machine of the backup by which a restore goes back: its own may be lost half way."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from techsapo_ops.adapters.files import sync_directory
from techsapo_ops.adapters.fleet import Fleet
from techsapo_ops.adapters.packed import cannot_write
from techsapo_ops.engines.swarm.copies import Copies

_COPY_SECONDS = 3600.0
_PARTIAL = ".partial"
"""As the folder of backups ends names that are not whole, and removes them."""


def aside(fleet: Fleet, project: str) -> Copies:
    """The copies of a stack."""
    return Copies(fleet, project, "aside")


def keep(fleet: Fleet, project: str, folder: Path) -> Mapping[str, str]:
    """Copy a backup's folder to every machine, in place of the one before; by machine why it has none."""
    copies = aside(fleet, project)
    copies.forget()
    return copies.put(lambda m: m.attempt("cp", str(folder), f"{copies.place}/", timeout=_COPY_SECONDS))


def fetch(fleet: Fleet, project: str, name: str, into: Path) -> bool:
    """Bring the copy `name` into the folder `into`; False where no machine that answers has it.

    Raises OpsError where it can't be written here.
    """
    copies, partial = aside(fleet, project), into / f"{name}{_PARTIAL}"
    try:
        into.mkdir(mode=0o700, parents=True, exist_ok=True)
        for member in copies.answering():
            if partial.exists():
                shutil.rmtree(partial)
            source = f"{copies.place}/{name}"
            if member.attempt("cp", source, str(partial), timeout=_COPY_SECONDS).code == 0:
                partial.rename(into / name)
                sync_directory(into)
                return True
    except OSError as error:
        raise cannot_write(partial, error) from None
    return False
