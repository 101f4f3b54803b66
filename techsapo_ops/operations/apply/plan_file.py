"""A plan in a file, by which `up` does exactly what was looked at, or nothing.

The file holds facts and no secret, see plan_facts. It carries an HMAC-SHA-256 (RFC 2104) by a key of the
stack's that lies in the ledger: who can't read that can neither make one nor guess what a digest is of.
"""

from __future__ import annotations

import json
import os
import secrets
import stat
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from techsapo_ops.adapters.files import sync_directory, write_atomic
from techsapo_ops.adapters.mac import mac, same
from techsapo_ops.adapters.packed import open_plain
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import joined, msg
from techsapo_ops.operations.apply.history import History
from techsapo_ops.operations.apply.ledger import Ledger, now
from techsapo_ops.operations.apply.plan import StackPlan
from techsapo_ops.operations.apply.plan_facts import Digest, Facts, differences, facts_of
from techsapo_ops.stack.places import EngineName

KEY = "plan-key"
"""Name of the key, in the ledger's folder: plans end with the history whose numbers they name."""
_FORM = 1
_MARK = "techsapo_plan"
_ABOUT = "`techsapo up --plan` on this file does exactly this, or nothing. It holds no secret."
_KEY_BYTES = 32
_LARGEST = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class SavedPlan:
    """A plan as it was kept, by `user` at `time`. `engine` is what was asked for, not what was chosen."""

    path: Path
    time: datetime
    user: str
    environment: str | None
    engine: EngineName | None
    services: tuple[str, ...]
    facts: Facts


def save_plan(
    path: Path, plan: StackPlan, history: History, only: Sequence[str] = (), engine: EngineName | None = None
) -> None:
    """Write `plan`, which is about `only`, to the file `path`, readable by its owner alone.

    It takes the place of another plan, and of nothing else. Raises OpsError where it can't be written.
    """
    if os.path.lexists(path) and not _is_plan(path):
        raise OpsError(
            msg("{path} is there and is no plan, so it is left alone", path=path),
            msg("name another file"),
        )
    key = _made_key(history.ledger)
    told = {
        "time": now().isoformat(),
        "user": history.user,
        "environment": plan.desired.topology.layout.environment,
        "engine": engine,
        "services": list(only),
        "facts": facts_of(plan, history, only, _digest(key)),
    }
    sealed = {_MARK: _FORM, "about": _ABOUT, **told, "mac": _mac(key, told)}
    write_atomic(path.absolute(), (json.dumps(sealed, ensure_ascii=False, indent=1) + "\n").encode(), 0o600)


def read_plan(path: Path, ledger: Ledger) -> SavedPlan:
    """The plan in the file `path`, which the stack of `ledger` made.

    Raises OpsError for one that somebody else could have written, or that is not as it was written.
    """
    value = _read(path)
    if value is None or value.get(_MARK) != _FORM:
        made = value is not None and _MARK in value
        raise OpsError(
            msg("{path} was written by another version of techsapo", path=path)
            if made
            else msg("{path} is no plan", path=path),
            _AGAIN,
        )
    told = {name: each for name, each in value.items() if name not in (_MARK, "about", "mac")}
    key = _key(ledger)
    if key is None or not _same(value.get("mac"), _mac(key, told)):
        raise OpsError(
            msg("{path} is not as this stack wrote it: it is of another one, or was changed", path=path),
            _AGAIN,
        )
    return SavedPlan(
        path, datetime.fromisoformat(told["time"]), told["user"], told["environment"], told["engine"],
        tuple(told["services"]), told["facts"],
    )  # fmt: skip


def require_holds(saved: SavedPlan, history: History) -> Callable[[StackPlan], None]:
    """A check for a plan that was made now: it raises OpsError unless it is the one that was saved."""

    def check(plan: StackPlan) -> None:
        key = _key(history.ledger)
        found = facts_of(plan, history, saved.services, _digest(key or b""))
        if told := differences(saved.facts, found):
            raise OpsError(
                msg("the plan in {path} no longer holds, so nothing was done:", path=saved.path)
                + joined("", [msg("\n  {what}", what=each) for each in told]),
                _AGAIN if history.journal.noted() is None else _COMPLETE,
            )

    return check


_AGAIN = msg("`techsapo plan --out FILE` makes one; look at it again")
_COMPLETE = msg("`techsapo up` completes the interrupted apply, `techsapo rollback` undoes it")


def _read(path: Path) -> dict[str, Any] | None:
    """The JSON object in the file; None where it holds none. Raises OpsError."""
    try:
        with open_plain(path) as file:
            facts = os.fstat(file.fileno())
            mode = stat.S_IMODE(facts.st_mode)
            if facts.st_uid not in {0, os.geteuid()} or mode & 0o022:
                raise OpsError(
                    msg("{path} is another user's, or others may write it", path=path),
                    msg("a plan is its user's alone (0600): make it again as yourself"),
                )
            found = json.loads(file.read(_LARGEST))
    except OSError as error:
        raise OpsError(
            msg("cannot read the plan {path}: {why}", path=path, why=error.strerror), _AGAIN
        ) from None
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _is_plan(path: Path) -> bool:
    with suppress(OpsError):
        return _MARK in (_read(path) or {})
    return False


def _digest(key: bytes) -> Digest:
    return lambda value: mac(key, "plan value", value).hex()[:32]


def _mac(key: bytes, told: dict[str, Any]) -> str:
    text = json.dumps(told, ensure_ascii=False, sort_keys=True)
    return mac(key, "plan", text).hex()


def _same(given: object, expected: str) -> bool:
    return isinstance(given, str) and same(given, expected)


def _made_key(ledger: Ledger) -> bytes:
    """The key, which is made where there is none; of two that make it at once one does."""
    if (known := _key(ledger)) is not None:
        return known
    ledger.make_folders()
    path = ledger.folder / KEY
    beside = ledger.folder / f".{KEY}.{secrets.token_hex(8)}"
    write_atomic(beside, f"{secrets.token_hex(_KEY_BYTES)}\n".encode(), 0o600)
    try:
        # A link, unlike a rename, never takes the place of a key that another has made meanwhile.
        with suppress(FileExistsError):
            os.link(beside, path, follow_symlinks=False)
    except OSError as error:
        raise OpsError(msg("cannot write {path}: {why}", path=path, why=error.strerror)) from None
    finally:
        beside.unlink()
    sync_directory(ledger.folder)
    made = _key(ledger)
    assert made is not None, "it is there by now"  # noqa: S101 - a mistake of ours, no input
    return made


def _key(ledger: Ledger) -> bytes | None:
    path = ledger.folder / KEY
    try:
        with open_plain(path) as file:
            value = bytes.fromhex(file.read(_KEY_BYTES * 4).decode("ascii"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise OpsError(
            msg("cannot read {path}: {why}", path=path, why=error.strerror),
            msg("run as the user who ran `up`"),
        ) from None
    except ValueError:
        value = b""
    if len(value) != _KEY_BYTES:
        raise OpsError(
            msg("{path} is damaged: it holds no key", path=path),
            msg("remove it, and make your plans again"),
        )
    return value
