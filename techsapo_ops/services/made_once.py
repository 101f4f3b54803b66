"""Secrets that the tool makes itself, once, and keeps in the state directory."""

from __future__ import annotations

import secrets
from pathlib import Path

from techsapo_ops.adapters import owners
from techsapo_ops.adapters.files import read_text, write_atomic
from techsapo_ops.messages import msg
from techsapo_ops.spec.secret import Secret


def made_once(path: Path, user: str | None) -> Secret:
    """The random password in `path`, which is made now if it is not there; 0600, owned by `user`."""
    if not path.exists():
        write_atomic(path, secrets.token_hex(24).encode(), 0o600, owners.ids(user))
    owners.give(path, user)
    return Secret(read_text(path, what=msg("key")).strip(), file=str(path))


def keep(path: Path, text: str, user: str | None) -> bool:
    """Let `path` hold `text`, for `user` alone; whether it held anything else. Raises OpsError."""
    if path.exists() and path.read_text(encoding="utf-8") == text:
        owners.give(path, user)
        return False
    write_atomic(path, text.encode(), 0o600, owners.ids(user))
    return True
