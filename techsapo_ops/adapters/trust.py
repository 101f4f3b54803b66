"""Whom root trusts.

That is root, as git has it the user that `SUDO_UID` names (safe.directory in git-config(1)), and for a folder
of `trusted-folders.json` the users and groups that stand there with it.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from techsapo_ops.adapters.ownership import Allowed, Judge
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg

TRUSTED_FOLDERS = Path("/etc/techsapo/trusted-folders.json")
"""What `techsapo trust` writes; root's own, readable by all."""
_SUDO_UID = re.compile(r"[0-9]{1,10}")
_NO_UID = 2**32 - 1


def owned_by_others(folder: Path) -> bool:
    """Whether this is root, and `folder` is there and of a user whom root does not trust in it."""
    if os.geteuid() != 0 or not folder.exists():
        return False
    users = trusted_users(os.environ).union(*(a.users for a in read_allowed() if a.covers(folder)))
    return folder.stat().st_uid not in users


def trusted_users(environment: Mapping[str, str]) -> frozenset[int]:
    """Root, and whoever became root by sudo: who may run anything as root can change its files anyway.

    `SUDO_UID` counts as git counts it: where the process is root's own and the value is a user's number.
    """
    value = environment.get("SUDO_UID", "")
    if os.getuid() != 0 or not _SUDO_UID.fullmatch(value) or int(value) >= _NO_UID:
        return frozenset({0})
    return frozenset({0, int(value)})


def read_allowed() -> tuple[Allowed, ...]:
    """The folders of `trusted-folders.json`, sorted.

    Raises OpsError where the file is damaged, or where others than root may write it.
    """
    try:
        text = TRUSTED_FOLDERS.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except (OSError, UnicodeDecodeError) as error:
        raise OpsError(
            msg("cannot read {trusted_folders}: {error}", trusted_folders=TRUSTED_FOLDERS, error=error),
            msg("look at it, or remove it"),
        ) from None
    judge = Judge(frozenset({0}), ())
    judge.way(TRUSTED_FOLDERS)
    if judge.doubts:
        raise OpsError(
            msg(
                "{trusted_folders} says whom root trusts, but {doubts}",
                trusted_folders=TRUSTED_FOLDERS,
                doubts=judge.doubts[0],
            ),
            f"`{judge.doubts[0].cure}`",
        )
    try:
        entries = json.loads(text)["folders"]
        return tuple(
            Allowed(Path(e["folder"]), frozenset(map(int, e["users"])), frozenset(map(int, e["groups"])))
            for e in entries
        )
    except (ValueError, KeyError, TypeError):
        raise OpsError(
            msg("{trusted_folders} is damaged", trusted_folders=TRUSTED_FOLDERS),
            msg("remove it, and allow your folders again: `techsapo trust add`"),
        ) from None


def write_allowed(allowed: Iterable[Allowed]) -> None:
    """Replace `trusted-folders.json`. Raises OpsError when it can't be written."""
    from techsapo_ops.adapters.files import write_atomic

    entries = [
        {"folder": str(a.folder), "users": sorted(a.users), "groups": sorted(a.groups)}
        for a in sorted(allowed, key=lambda a: str(a.folder))
    ]
    try:
        TRUSTED_FOLDERS.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    except OSError as error:
        raise OpsError(
            msg("cannot make {parent}: {strerror}", parent=TRUSTED_FOLDERS.parent, strerror=error.strerror)
        ) from None
    write_atomic(TRUSTED_FOLDERS, (json.dumps({"version": 1, "folders": entries}, indent=1) + "\n").encode())
