"""API keys: made once, shown once, kept as digests."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import shlex
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from techsapo_ops.adapters.files import read_text, write_atomic
from techsapo_ops.adapters.mac import same
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg

Plan = Literal["basic", "standard", "premium"]
Scope = Literal["ask", "monitor", "alerts", "events", "label"]
"""ask: questions of every kind, and incidents; monitor: /metrics, /api/v1/health and the list of incidents,
through nginx; alerts: telling of alerts; events: telling of events; label: saying what
became of answers, and reading those that the audit log keeps.
"""
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
    replaced_by: str | None = None
    """Id of the key that took its place; it ends when its callers have had time to change over."""

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

    def public(self, now: datetime) -> dict[str, Any]:
        """What may be shown of it, all but its digest, with its state at `now`."""
        shown = {name: value for name, value in self.to_json().items() if name != "digest"}
        return {**shown, "state": self.state(now)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> ApiKey:
        """The key of `to_json`; raises ValueError, KeyError or TypeError for anything else."""
        times = {n: _utc(value[n]) if value[n] else None for n in ("expires", "revoked")}
        made = {**value, **times, "created": _utc(value["created"])}
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


@dataclass(frozen=True, slots=True)
class Rotation:
    """A new key in place of others: the key itself, which is known here alone, and those that end for it."""

    key: ApiKey
    shown: str
    ending: tuple[ApiKey, ...]


def keys_in(text: str, path: Path) -> tuple[ApiKey, ...]:
    """The keys that the file at `path` holds, oldest first. Raises OpsError where `text` is no such file."""
    try:
        return tuple(ApiKey.from_json(entry) for entry in json.loads(text)["keys"])
    except (ValueError, KeyError, TypeError, AttributeError):
        raise OpsError(
            msg("{path} is not a file of API keys", path=path),
            msg("restore the file from a backup, or move it away and create new keys"),
        ) from None


def text_of(keys: Iterable[ApiKey]) -> str:
    """What a file of these keys holds."""
    value = {"version": 1, "keys": [k.to_json() for k in keys]}
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"


class KeyFile:
    """The keys in a file that only its owner reads, written whole or not at all."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> tuple[ApiKey, ...]:
        """The keys, oldest first; none where there is no file. Raises OpsError for a broken one."""
        if not self.path.exists():
            return ()
        return keys_in(read_text(self.path, what=msg("API keys")), self.path)

    def write(self, keys: Iterable[ApiKey], owner: tuple[int, int] | None = None) -> None:
        """Replace the file; `owner` (uid, gid) is the user of the app where that is another one."""
        write_atomic(self.path, text_of(keys).encode(), mode=0o600, owner=owner)

    def change(self, changed: Iterable[ApiKey], owner: tuple[int, int] | None = None) -> None:
        """Write the keys anew, `changed` in place of those of the same ids, and behind them where new.

        One write: a kill leaves all of them as they were, or all changed.
        """
        new = {k.id: k for k in changed}
        keys = self.read()
        known = {k.id for k in keys}
        # A file that was edited by hand may have an id twice, of which the last counts: all of them change.
        self.write(
            (*(new.get(k.id, k) for k in keys), *(k for k in new.values() if k.id not in known)), owner
        )

    def revocation(self, which: str, now: datetime, *, every: bool = False) -> tuple[ApiKey, ...]:
        """The key of that id or name, or with `every` all of that name, revoked: for `change`.

        Raises OpsError for none, and for several active ones of that name without `every`.
        """
        keys = self.read()
        hit = [k for k in keys if which in (k.id, k.name) and k.revoked is None]
        if not hit:
            raise _no_key(which, [k for k in keys if k.revoked is None])
        active = [k for k in hit if k.state(now) == "active"]
        if len(active) > 1 and not every:
            raise OpsError(
                msg("{count} active keys are named {which}", count=len(active), which=repr(which)),
                msg(
                    "name one of these keys by its id: {ids}; or revoke all of them: "
                    "`techsapo keys revoke {name} --all`",
                    ids=", ".join(f"{k.id} ({k.created:%Y-%m-%d})" for k in active),
                    name=shlex.quote(which),
                ),
                exit_code=2,
            )
        return tuple(replace(k, revoked=now) for k in hit)

    def rotation(self, which: str, now: datetime, overlap: timedelta) -> Rotation:
        """A key with the name and rights of the key of that id or name, which ends after `overlap`: for
        `change`.

        Keys that were replaced before end then too, none later than it would have; without an overlap they
        are revoked. The new key lives as long as the old one was to. Raises OpsError for no active key,
        several of that name, or one replaced already.
        """
        keys = self.read()
        old = _current(keys, which, now)
        new, shown = new_key(
            old.name, plan=old.plan, scopes=old.scopes, now=now, expires=_lifetime_of(keys, old, now)
        )
        new = replace(new, per_minute=old.per_minute, daily_usd=old.daily_usd, monthly_usd=old.monthly_usd)
        end = now + overlap
        going = {k.id for k in keys if k.state(now) == "active" and _leads_to(keys, k, old)}
        ending = (
            replace(
                k,
                replaced_by=new.id if k.id == old.id else k.replaced_by,
                expires=k.expires if not overlap else min(k.expires or end, end),
                revoked=k.revoked if overlap else now,
            )
            for k in keys
            if k.id in going
        )
        return Rotation(new, shown, tuple(ending))


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

    def check(self, given: str | None, *scopes: Scope) -> ApiKey:
        """The key that `given` is, where it may do one of `scopes`. Raises KeyRefused."""
        if not given:
            raise KeyRefused("missing")
        match = _SHAPE.fullmatch(given)
        if match is None:
            raise KeyRefused("malformed")
        self._refresh()
        key = self._keys.get(match[1])
        # An unknown id costs the same comparison.
        right = same(_digest(given), key.digest if key is not None else _NOBODY)
        if key is None or not right:
            raise KeyRefused("unknown")
        state = key.state(datetime.now(UTC))
        if state != "active":
            raise KeyRefused(state)
        if not set(scopes) & set(key.scopes):
            raise KeyRefused("scope")
        return key

    def refusal(self, number: str, scope: Scope) -> Refusal | None:
        """Why the key of that id, once accepted, may not do `scope` any more; None while it may."""
        self._refresh()
        key = self._keys.get(number)
        if key is None:
            return "unknown"
        state = key.state(datetime.now(UTC))
        if state != "active":
            return state
        return None if scope in key.scopes else "scope"

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


def _current(keys: tuple[ApiKey, ...], which: str, now: datetime) -> ApiKey:
    """The one key that `which` names and that no other one replaces. Raises OpsError."""
    active = {k.id: k for k in keys if k.state(now) == "active"}
    hit = [active[which]] if which in active else [k for k in active.values() if k.name == which]
    current = [k for k in hit if k.replaced_by not in active]
    if not hit:
        raise _no_key(which, active.values())
    if not current:
        by = hit[0].replaced_by
        raise OpsError(
            msg("key {id} was already replaced by {by}", id=hit[0].id, by=by),
            msg("rotate key {by} instead", by=by),
        )
    if len(current) > 1:
        ids = ", ".join(k.id for k in current)
        raise OpsError(
            msg("{count} active keys are named {which}", count=len(current), which=repr(which)),
            msg("name one of these keys by its id: {ids}", ids=ids),
            exit_code=2,
        )
    return current[0]


def _no_key(which: str, active: Iterable[ApiKey]) -> OpsError:
    known = ", ".join(f"{k.id} ({k.name})" for k in active)
    return OpsError(
        msg("there is no active key {which}", which=repr(which)),
        msg("active keys: {known}", known=known or msg("none")),
        exit_code=2,
    )


def _leads_to(keys: tuple[ApiKey, ...], key: ApiKey, last: ApiKey) -> bool:
    """Whether `key` is `last` or was replaced by it, at once or by way of others."""
    return last.id in {k.id for k in _successors(keys, key)}


def _successors(keys: tuple[ApiKey, ...], key: ApiKey) -> Iterator[ApiKey]:
    """`key`, the one that replaced it, and so on; a circle, which only a hand can make, ends it."""
    known, seen = {k.id: k for k in keys}, set[str]()
    here: ApiKey | None = key
    while here is not None and here.id not in seen:
        seen.add(here.id)
        yield here
        here = known.get(here.replaced_by or "")


def _lifetime_of(keys: tuple[ApiKey, ...], key: ApiKey, now: datetime) -> datetime | None:
    """When a new key made now ends: it lives as long as `key` was to before any rotation cut that short."""
    last = list(_successors(keys, key))[-1]
    return now + (last.expires - last.created) if last.expires is not None else None


def _utc(text: str) -> datetime:
    """The time that `text` names; one without a zone, as hands write it, is UTC too."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
