"""Which configuration the app runs with, and since when."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path

import structlog

from techsapo_ops.adapters.files import read_text, write_atomic
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.redact import app_settings

log = structlog.get_logger()


def config_hash(spec: Spec) -> str:
    """16 hex digits that tell the app's configuration from another; secrets don't change it."""
    settings = json.dumps(app_settings(spec), sort_keys=True, default=str)
    return hashlib.sha256(settings.encode()).hexdigest()[:16]


def config_since(data: Path, digest: str) -> float:
    """Unix time at which the instance with the folder `data` first ran with the configuration `digest`.

    Remembered in config.json over restarts. One that can't be read or written is reported and made anew.
    """
    path = data / "config.json"
    try:
        known = json.loads(read_text(path, what=msg("configuration state"))) if path.exists() else {}
        if known.get("hash") == digest:
            return float(known["since"])
    except (OpsError, ValueError, KeyError, TypeError, AttributeError) as error:
        log.warning("The time of the last change of configuration is lost", file=str(path), error=str(error))
    now = time.time()
    try:
        write_atomic(path, json.dumps({"hash": digest, "since": now}).encode() + b"\n", mode=0o600)
    except (OpsError, OSError) as error:
        log.warning("The time of this configuration can't be kept", file=str(path), error=str(error))
    return now
