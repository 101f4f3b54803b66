"""Secrets that the tool makes itself, once, and keeps in the state directory."""

from __future__ import annotations

import secrets
from pathlib import Path

from techsapo_ops.adapters import owners
from techsapo_ops.adapters.files import own_mode, read_text, write_atomic, write_in_place
from techsapo_ops.messages import msg
from techsapo_ops.spec.secret import Secret

_MODE = 0o600


def made_once(path: Path, user: str | None) -> Secret:
    """The random password in `path`, which is made now if it is not there; 0600, owned by `user`."""
    if not path.exists():
        write_atomic(path, secrets.token_hex(24).encode(), _MODE, owners.ids(user))
    owners.give(path, user)
    return Secret(read_text(path, what=msg("key")).strip(), file=str(path))


def keep(path: Path, text: str, user: str | None, *, mounted: bool = False) -> bool:
    """Let `path` hold `text`, for `user` alone; whether it held anything else. Raises OpsError.

    `mounted`: a container may have it by itself, so that it has to stay the same file.
    """
    content, there = text.encode(), path.exists()
    if there and path.read_bytes() == content and own_mode(path) == _MODE:
        owners.give(path, user)
        return False
    if there and mounted:
        write_in_place(path, content, _MODE)
        owners.give(path, user)
    else:
        write_atomic(path, content, _MODE, owners.ids(user))
    return True
