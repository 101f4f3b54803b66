"""What a plan rests on: everything that must still be so when exactly that plan is applied.

Two plans with the same facts write the same files, take the same steps on the same services and leave the
same state. Facts are compared one by one, so that whoever is refused reads which of them is another.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from techsapo_ops.adapters.build import build
from techsapo_ops.messages import msg
from techsapo_ops.operations.apply.changes import read_content
from techsapo_ops.operations.apply.history import History
from techsapo_ops.operations.apply.plan import StackPlan
from techsapo_ops.spec.redact import secrets_of, to_yaml_data
from techsapo_ops.stack.observed import Observed, ObservedService, State
from techsapo_ops.stack.topology import Topology

Facts = Mapping[str, Mapping[str, str]]
"""Facts by section and name. What may hold a secret is there as a digest that a key is needed to make."""
Digest = Callable[[bytes], str]
_NONE = "none"
_SECTIONS = ("stack", "history", "spec", "templates", "host", "running", "files", "result", "steps")
_FOLLOW = ("result", "steps")
"""Sections that tell nothing new where another one differs: they are made of those."""
_MOST = 12
_SERVICE_STATE = ("fingerprint", "config", "drift", "image", "build", "outdated", "replaced", "gone")


def facts_of(plan: StackPlan, history: History, only: Sequence[str], digest: Digest) -> Facts:
    """What `plan`, which is about `only`, rests on. The ledger of `history` says what was applied last.

    Raises OpsError where a file or the ledger can't be read.
    """
    topology = plan.desired.topology
    applied, under_way = history.ledger.entries()[-1:], history.journal.noted()
    return {
        "stack": {
            "folder": str(topology.layout.state.parent),
            "spec": str(topology.layout.spec_file),
            "environment": topology.layout.environment or _NONE,
            "engine": topology.engine,
            "engine before": plan.leaves.name if plan.leaves is not None else _NONE,
            "services": ", ".join(only) or "all",
            "version": build(),
        },
        "history": {
            "last apply": f"@{applied[0].id}" if applied else _NONE,
            "interrupted apply": f"@{under_way.id}" if under_way is not None else _NONE,
        },
        "spec": dict(_spec(plan, digest)),
        "templates": {n: digest(text.encode()) for n, text in (plan.wanted.overrides or {}).items()},
        "host": dict(_host(topology)),
        "running": dict(_running(plan.observed, digest)),
        "files": {
            change.path: f"{change.kind} {digest(read_content(topology.layout.config / change.path) or b'')}"
            for change in plan.files
        },
        "result": {"all": digest(plan.wanted.identity.encode())},
        "steps": {step.service: str(step.action) for step in plan.steps.steps},
    }


def _spec(plan: StackPlan, digest: Digest) -> Iterator[tuple[str, str]]:
    """Each value of the spec, with its overlay, variables, secret files and defaults in it."""
    spec = plan.wanted.spec
    for path, value in _leaves(to_yaml_data(spec, lambda path: path), ()):
        yield path, digest(f"{path}\0{value}".encode())
    for path, secret in secrets_of(spec).items():
        yield path, digest(f"{path}\0{secret.reveal()}".encode())


def _leaves(node: Any, path: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    if isinstance(node, Mapping) and node:
        for key, value in node.items():
            yield from _leaves(value, (*path, str(key)))
    elif isinstance(node, (list, tuple)) and node:
        for number, value in enumerate(node):
            yield from _leaves(value, (*path, str(number)))
    else:
        yield ".".join(path), json.dumps(node, ensure_ascii=False, default=str)


def _host(topology: Topology) -> Iterator[tuple[str, str]]:
    facts = {name: value for name, value in asdict(topology.host).items() if name != "shares_mounts"}
    known = {name: sorted(value) if isinstance(value, frozenset) else value for name, value in facts.items()}
    yield from _leaves(known, ())


def _running(observed: Observed, digest: Digest) -> Iterator[tuple[str, str]]:
    for name, seen in observed.services.items():
        # The supervisor calls it so for its first second; what is planned for it is the same.
        state = State.RUNNING if seen.state is State.STARTING else seen.state
        yield name, f"{state} {digest(_made_of(seen))}"


def _made_of(seen: ObservedService) -> bytes:
    return json.dumps([getattr(seen, name) for name in _SERVICE_STATE]).encode()


def differences(then: Facts, now: Facts) -> tuple[str, ...]:
    """What of `then` is no longer so, one sentence a fact; none where all of it is.

    What only follows from the rest is told where nothing else is to be told.
    """
    told = [
        _words(section, name, then.get(section, {}).get(name), now.get(section, {}).get(name))
        for section in _SECTIONS
        if section not in _FOLLOW
        for name in _unlike(then, now, section)
    ]
    if not told:
        told = [
            _words(section, name, then.get(section, {}).get(name), now.get(section, {}).get(name))
            for section in reversed(_FOLLOW)
            for name in _unlike(then, now, section)
        ][:1]
    if len(told) > _MOST:
        told = [*told[:_MOST], msg("and {count} more", count=len(told) - _MOST)]
    return tuple(told)


def _unlike(then: Facts, now: Facts, section: str) -> list[str]:
    was, is_ = then.get(section, {}), now.get(section, {})
    return sorted(name for name in {*was, *is_} if was.get(name) != is_.get(name))


def _words(section: str, name: str, was: str | None, is_: str | None) -> str:
    if section == "spec":
        return msg("spec: {name} has another value", name=name)
    if section == "templates":
        return msg("templates: {name} has changed", name=name)
    if section == "files":
        return msg("files: {name} has changed on disk", name=name)
    if section == "result":
        return msg("what is rendered from the same spec is no longer the same")
    if section == "running":
        was, is_ = (_state(each) for each in (was, is_))
        if was == is_:
            return msg("{name}: it was started or changed in another way since", name=name)
    if section in ("running", "steps"):
        return msg("{name}: {was} then, {now} now", name=name, was=was or _NONE, now=is_ or _NONE)
    return msg(
        "{section}: {name} was {was}, and is {now}",
        section=section, name=name, was=was or _NONE, now=is_ or _NONE,
    )  # fmt: skip


def _state(fact: str | None) -> str:
    return (fact or "gone").partition(" ")[0]
