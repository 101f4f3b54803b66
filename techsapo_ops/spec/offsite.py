"""Where the copies of the backups go: not into the folder that they are copied from."""

from __future__ import annotations

import os
from pathlib import Path

from techsapo_ops.messages import msg
from techsapo_ops.spec.findings import Finding
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.models.data import FOLDER
from techsapo_ops.spec.user_path import user_path


def inside_backups(spec: Spec, directory: Path, backups: Path) -> Finding | None:
    """That the off-site repository of a spec in `directory` is in the folder of backups, links followed.

    `backups` is that folder where the spec names none. None where the repository is elsewhere.
    """
    offsite = spec.backup.offsite
    named = offsite.restic.removeprefix(FOLDER) if offsite is not None else ":"
    if ":" in named:
        return None
    kept = user_path(spec.backup.path, directory) if spec.backup.path is not None else backups
    folder, repository = (Path(os.path.realpath(path)) for path in (kept, user_path(named, directory)))
    if not repository.is_relative_to(folder):
        return None
    return Finding(
        ("backup", "offsite", "restic"),
        msg(
            "is inside the folder of the backups, {folder}: what takes that takes the copies too",
            folder=folder,
        ),
        msg("name a repository on another machine, or a folder on another disk"),
    )
