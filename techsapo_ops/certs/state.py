"""What is remembered of a certificate between two runs."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from techsapo_ops.adapters.files import write_atomic
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg


@dataclass(frozen=True, slots=True)
class CertificateState:
    """The history of one certificate. Times are aware."""

    deployed: int | None = None
    """The version that nginx was last seen to serve, or was given while it did not run."""
    hooks_pending: bool = False
    """Whether the deploy hooks of that version are still to be run."""
    renewed_at: datetime | None = None
    """When the newest version was made or taken over."""
    failures: int = 0
    """Attempts that failed, ever."""
    failure: str = ""
    """Why the last attempt failed; "" when it did not."""
    retry_at: datetime | None = None
    """Until then the CA does not want to be asked."""
    suggested_at: datetime | None = None
    """When the CA wants the certificate with `suggested_serial` to be renewed."""
    suggested_serial: str = ""
    ask_again_at: datetime | None = None
    """Until then the CA is not asked again when that is."""
    revoked: int | None = None
    """The version that was revoked last."""


_TIMES = ("renewed_at", "retry_at", "suggested_at", "ask_again_at")


def load_state(path: Path) -> CertificateState:
    """The state at `path`; the empty one where there is none. Raises OpsError when it can't be read."""
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        known = {k: v for k, v in found.items() if k in CertificateState.__slots__}
        for key in _TIMES:
            known[key] = _time(known.get(key))
        return CertificateState(**known)
    except FileNotFoundError:
        return CertificateState()
    except OSError as error:
        raise OpsError(msg("cannot read {path}: {strerror}", path=path, strerror=error.strerror)) from None
    except (ValueError, TypeError, KeyError, AttributeError):
        raise OpsError(
            msg("{path} is damaged", path=path),
            msg("remove it: only the history of this certificate is lost"),
        ) from None


def save_state(path: Path, state: CertificateState) -> None:
    """Write `state`. Raises OpsError when it can't be written."""
    text = json.dumps(asdict(state), default=lambda v: v.isoformat(timespec="seconds"), indent=2)
    write_atomic(path, f"{text}\n".encode())


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text is not None else None
