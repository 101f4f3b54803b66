"""The key that the app's instances share and no other service has."""

from __future__ import annotations

import logging
import os
import secrets
from pathlib import Path

from techsapo_ops.adapters.files import sync_directory

log = logging.getLogger("techsapo.key")

_BYTES = 24


def shared_key(path: Path) -> bytes | None:
    """The key in `path`, which `up` makes; made here where the app runs without it. None where it can't be.

    Of several instances that make it at once one does.
    """
    try:
        if not os.path.lexists(path):
            _make(path)
        key = path.read_text(encoding="ascii").strip().encode()
    except (OSError, UnicodeDecodeError) as error:
        log.warning(
            "The key that all instances share can't be read; this one seals what it keeps by its own",
            extra={"file": str(path), "error": str(error)},
        )
        return None
    return key or None


def _make(path: Path) -> None:
    path.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_hex(_BYTES).encode())
            file.flush()
            os.fsync(file.fileno())
        # A link, unlike a rename, never takes the place of a key that another has made meanwhile.
        os.link(beside, path, follow_symlinks=False)
        sync_directory(path.parent)
    except FileExistsError:
        return
    finally:
        beside.unlink()
