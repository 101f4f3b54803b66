"""API keys: made once, shown once, kept as digests."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from techsapo_ops.adapters.files import read_text, write_atomic
from techsapo_ops.errors import OpsError

Plan = Literal["basic", "standard", "premium"]
Scope = Literal["ask", "monitor"]
"""ask: questions of every kind; monitor: /metrics and /api/v1/health through nginx."""
Refusal = Literal["missing", "malformed", "unknown", "revoked", "expired", "scope"]
"""What is wrong with a key that opens nothing."""
PREFIX = "tsk"
_SHAPE = re.compile(r"tsk_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
_NOBODY = "0" * 64
CHECK_EVERY = 0.25
"""Seconds for which the file's time stamp is not looked at again: a revoked key works that long at most."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One key without the key itself: `digest` is its SHA-256, which 256 random bits need no salt for.

    Times are UTC; limits that are None are those of the plan or of the spec.
    """

    id: str
    name: str
    digest: str
    plan: Plan
    scopes: tuple[Scope, ...]
    created: datetime
    expires: datetime | None = None
    revoked: datetime | None = None
    per_minute: int | None = None
    daily_usd: float | None = None
    monthly_usd: float | None = None

    def state(self, now: datetime) -> Literal["active", "revoked", "expired"]:
        """Whether it opens anything at `now`."""
        if self.revoked is not None:
            return "revoked"
        return "expired" if self.expires is not None and self.expires <= now else "active"

    def to_json(self) -> dict[str, Any]:
        """Plain values; times in ISO 8601."""
        value = asdict(self)
        for name in ("created", "expires", "revoked"):
            value[name] = value[name].isoformat() if value[name] else None
        return value

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> ApiKey:
        """The key of `to_json`; raises ValueError, KeyError or TypeError for anything else."""
        times = {n: datetime.fromisoformat(value[n]) if value[n] else None for n in ("expires", "revoked")}
        made = {**value, **times, "created": datetime.fromisoformat(value["created"])}
        return cls(**{**made, "scopes": tuple(value["scopes"])})


class KeyRefused(Exception):
    """A key opens nothing, for `reason`."""

    def __init__(self, reason: Refusal) -> None:
        super().__init__(reason)
        self.reason = reason


def new_key(
    name: str,
    *,
    plan: Plan,
    scopes: tuple[Scope, ...],
    now: datetime,
    expires: datetime | None = None,
) -> tuple[ApiKey, str]:
    """A key of 256 random bits: what is kept of it, and the key, which is known here alone.

    It has no limits of its own: `dataclasses.replace` gives it any.
    """
    number = secrets.token_hex(6)
    shown = f"{PREFIX}_{number}_{secrets.token_urlsafe(32)}"
    return ApiKey(number, name, _digest(shown), plan, scopes, now, expires), shown


class KeyFile:
    """The keys in a file that only its owner reads, written whole or not at all."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> tuple[ApiKey, ...]:
        """The keys, oldest first; none where there is no file. Raises OpsError for a broken one."""
        if not self.path.exists():
            return ()
        try:
            value = json.loads(read_text(self.path, what="API keys"))
            return tuple(ApiKey.from_json(entry) for entry in value["keys"])
        except (ValueError, KeyError, TypeError, AttributeError):
            raise OpsError(
                f"{self.path} is not a file of API keys",
                "restore it from a backup, or move it away and make new keys",
            ) from None

    def write(self, keys: tuple[ApiKey, ...], owner: tuple[int, int] | None = None) -> None:
        """Replace the file; `owner` (uid, gid) is the user of the app where that is another one."""
        content = json.dumps(
            {"version": 1, "keys": [k.to_json() for k in keys]}, ensure_ascii=False, indent=1
        )
        write_atomic(self.path, content.encode() + b"\n", mode=0o600, owner=owner)

    def revoke(self, which: str, now: datetime, owner: tuple[int, int] | None = None) -> tuple[ApiKey, ...]:
        """Revoke the key of that id, or every active one of that name. Raises OpsError for none."""
        keys = self.read()
        hit = [k for k in keys if which in (k.id, k.name) and k.revoked is None]
        if not hit:
            known = ", ".join(f"{k.id} ({k.name})" for k in keys if k.revoked is None) or "none"
            raise OpsError(f"there is no active key {which!r}", f"active keys: {known}")
        self.write(tuple(replace(k, revoked=now) if k in hit else k for k in keys), owner)
        return tuple(replace(k, revoked=now) for k in hit)


class KeyRing:
    """The keys as a running app knows them; a changed file is taken over within CHECK_EVERY seconds.

    A file that turned unreadable opens nothing more; `trouble` says why.
    """

    def __init__(self, file: KeyFile) -> None:
        self._file = file
        self._keys: dict[str, ApiKey] = {}
        self._stamp: tuple[int, int, int] | None = None
        self._checked = float("-inf")
        self.trouble = ""

    def check(self, given: str | None, scope: Scope) -> ApiKey:
        """The key that `given` is, where it may do `scope`. Raises KeyRefused."""
        if not given:
            raise KeyRefused("missing")
        match = _SHAPE.fullmatch(given)
        if match is None:
            raise KeyRefused("malformed")
        self._refresh()
        key = self._keys.get(match[1])
        # An unknown id costs the same comparison.
        right = hmac.compare_digest(_digest(given), key.digest if key is not None else _NOBODY)
        if key is None or not right:
            raise KeyRefused("unknown")
        state = key.state(datetime.now(UTC))
        if state != "active":
            raise KeyRefused(state)
        if scope not in key.scopes:
            raise KeyRefused("scope")
        return key

    def active(self) -> int:
        """How many keys open something now."""
        self._refresh()
        now = datetime.now(UTC)
        return sum(k.state(now) == "active" for k in self._keys.values())

    def _refresh(self) -> None:
        now = time.monotonic()
        if now - self._checked < CHECK_EVERY:
            return
        self._checked = now
        try:
            stat = self._file.path.stat()
            stamp = (stat.st_mtime_ns, stat.st_ino, stat.st_size)
            if stamp == self._stamp:
                return
            self._keys = {k.id: k for k in self._file.read()}
            self.trouble = ""
        except FileNotFoundError:
            stamp, self._keys, self.trouble = None, {}, ""
        except (OSError, OpsError) as error:
            stamp, self._keys, self.trouble = None, {}, str(error)
        self._stamp = stamp


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
