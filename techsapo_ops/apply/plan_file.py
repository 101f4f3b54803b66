"""A plan in a file, by which `up` does exactly that plan, or nothing.

The file says what was looked at by one digest a section, and holds no file to write and no step to take: `up`
plans again, and compares. Digests are slow and salted (scrypt, RFC 7914), since a spec may hold a short
password.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import stat
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from techsapo_ops.adapters.build import build
from techsapo_ops.adapters.json_files import write_json
from techsapo_ops.adapters.packed import open_plain
from techsapo_ops.apply.changes import read_content
from techsapo_ops.apply.history import History, under_way
from techsapo_ops.apply.ledger import now
from techsapo_ops.apply.plan import StackPlan
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import joined, msg
from techsapo_ops.spec.redact import secrets_of, to_yaml_data
from techsapo_ops.stack.journal import CUT_SHORT, Operation
from techsapo_ops.stack.observed import State
from techsapo_ops.stack.places import EngineName

_FORM = 1
_MARK = "techsapo_plan"
_ABOUT = "`techsapo up --plan` on this file does exactly this, or nothing. It holds no secret."
_LARGEST = 1024 * 1024
_AGAIN = msg("create one with `techsapo plan --out FILE` and review it")
_SERVICE_STATE = ("fingerprint", "config", "drift", "image", "build", "outdated", "replaced", "gone")
_WORDS = {
    "stack": msg("the folder, the environment, the engine or the version"),
    "history": msg("the last apply"),
    "spec": msg("the spec, or a secret file"),
    "templates": msg("your templates"),
    "host": msg("this host's programs or users"),
    "running": msg("the running services"),
    "files": msg("the files on disk"),
    "result": msg("the files rendered from the same spec, or the steps"),
}


@dataclass(frozen=True, slots=True)
class SavedPlan:
    """A plan as it was saved; `digests` by section. `engine` is what was asked for, not what was chosen."""

    path: Path
    environment: str | None
    engine: EngineName | None
    services: tuple[str, ...]
    salt: str
    digests: Mapping[str, str]


def save_plan(
    path: Path, plan: StackPlan, history: History, only: Sequence[str] = (), engine: EngineName | None = None
) -> None:
    """Write `plan`, which is about `only`, to the file `path`, readable by its owner alone.

    It takes the place of another plan, and of nothing else. Raises OpsError where it can't be written.
    """
    if os.path.lexists(path) and not _is_plan(path):
        raise OpsError(
            msg("{path} exists and is not a plan file, so it was left unchanged", path=path),
            msg("choose another file name"),
        )
    salt = secrets.token_hex(16)
    value = {
        _MARK: _FORM,
        "about": _ABOUT,
        "time": now().isoformat(),
        "user": history.user,
        "environment": plan.desired.topology.layout.environment,
        "engine": engine,
        "services": list(only),
        "salt": salt,
        "digests": _digests(plan, history, only, salt),
    }
    write_json(path.absolute(), value)


def read_plan(path: Path) -> SavedPlan:
    """The plan in the file `path`. Raises OpsError for none, and for one that somebody else could have
    written.
    """
    value = _read(path)
    if value is None or _MARK not in value:
        raise OpsError(msg("{path} is not a plan file", path=path), _AGAIN)
    if value[_MARK] != _FORM:
        raise OpsError(msg("{path} was written by another version of techsapo", path=path), _AGAIN)
    try:
        return SavedPlan(
            path, value["environment"], value["engine"], tuple(value["services"]),
            str(value["salt"]), dict(value["digests"]),
        )  # fmt: skip
    except (KeyError, TypeError, ValueError):
        raise OpsError(msg("{path} is not a plan file", path=path), _AGAIN) from None


def require_holds(saved: SavedPlan, history: History) -> Callable[[StackPlan], None]:
    """A check for a plan that was made now: it raises OpsError unless it is the one that was saved."""

    def check(plan: StackPlan) -> None:
        now_so = _digests(plan, history, saved.services, saved.salt)
        differ = [section for section in _WORDS if saved.digests.get(section) != now_so[section]]
        if differ:
            # The last one follows from the others.
            reported = differ[:-1] if differ[-1] == "result" and len(differ) > 1 else differ
            raise OpsError(
                msg(
                    "the plan in {path} is out of date, so nothing was done. Changed since: {sections}",
                    path=saved.path,
                    sections=joined("; ", [_WORDS[section] for section in reported]),
                ),
                _AGAIN if under_way(history.layout) is None else CUT_SHORT[Operation.APPLY].then,
            )

    return check


def _digests(plan: StackPlan, history: History, only: Sequence[str], salt: str) -> dict[str, str]:
    """A digest of each section of what `plan`, which is about `only`, rests on."""
    sections = _sections(plan, history, only)
    return {name: _digest(sections[name], salt) for name in _WORDS}


def _sections(plan: StackPlan, history: History, only: Sequence[str]) -> dict[str, Any]:
    topology, spec = plan.desired.topology, plan.wanted.spec
    applied, interrupted = history.ledger.entries()[-1:], under_way(history.layout)
    return {
        "stack": [
            str(topology.layout.spec_file), topology.layout.environment, topology.engine,
            plan.leaves.name if plan.leaves is not None else None, list(only), build(),
        ],
        "history": [applied[0].id if applied else None, interrupted and interrupted.facts.id],
        "spec": [
            to_yaml_data(spec, lambda path: path),
            {path: secret.reveal() for path, secret in secrets_of(spec).items()},
        ],
        "templates": plan.wanted.overrides,
        "host": {name: value for name, value in asdict(topology.host).items() if name != "shares_mounts"},
        "running": {
            # The supervisor calls it so for its first second; what is planned for it is the same.
            name: [
                State.RUNNING if seen.state is State.STARTING else seen.state,
                *(getattr(seen, each) for each in _SERVICE_STATE),
            ]
            for name, seen in plan.observed.services.items()
        },
        "files": {
            change.path: [
                change.kind,
                hashlib.sha256(read_content(topology.layout.config / change.path) or b"").hexdigest(),
            ]
            for change in plan.files
        },
        "result": [plan.wanted.identity, {step.service: step.action for step in plan.steps.steps}],
    }  # fmt: skip


def _digest(value: Any, salt: str) -> str:
    def plain(node: Any) -> Any:
        return sorted(node) if isinstance(node, frozenset | set) else str(node)

    text = json.dumps(value, sort_keys=True, default=plain).encode()
    return hashlib.scrypt(text, salt=salt.encode(), n=2**14, r=8, p=1, dklen=32).hex()


def _read(path: Path) -> dict[str, Any] | None:
    """The JSON object in the file; None where it holds none. Raises OpsError."""
    try:
        with open_plain(path) as file:
            facts = os.fstat(file.fileno())
            mode = stat.S_IMODE(facts.st_mode)
            if facts.st_uid not in {0, os.geteuid()} or mode & 0o022:
                raise OpsError(
                    msg("{path} belongs to another user, or others can write to it", path=path),
                    msg(
                        "a plan file must belong to you and be private (0600): create it again as your own "
                        "user"
                    ),
                )
            value = json.loads(file.read(_LARGEST))
    except OSError as error:
        raise OpsError(
            msg("cannot read the plan {path}: {why}", path=path, why=error.strerror), _AGAIN
        ) from None
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _is_plan(path: Path) -> bool:
    with suppress(OpsError):
        return _MARK in (_read(path) or {})
    return False
