"""The key that the app's instances share and no other service has."""

from __future__ import annotations

import logging
import secrets
from pathlib import Path

from techsapo_ops.adapters.files import make_once
from techsapo_ops.errors import OpsError

log = logging.getLogger("techsapo.key")

_BYTES = 24


def shared_key(path: Path) -> bytes | None:
    """The key in `path`, which `up` makes; made here where the app runs without it. None where it can't be.

    Of several instances that make it at once one does.
    """
    try:
        path.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
        make_once(path, secrets.token_hex(_BYTES).encode())
        key = path.read_text(encoding="ascii").strip().encode()
    except (OSError, OpsError, UnicodeDecodeError) as error:
        log.warning(
            "The key that all instances share can't be read; this one seals what it keeps by its own",
            extra={"file": str(path), "error": str(error)},
        )
        return None
    return key or None
