"""What is done with the app: its key, and how it says it and what it depends on are."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from typing_extensions import override

from techsapo_ops.adapters.build import build, difference, is_other
from techsapo_ops.messages import all_of, joined, msg
from techsapo_ops.services.made_secrets import made_once
from techsapo_ops.services.probing import ask, look_at_logs, part_of
from techsapo_ops.services.runtime import Runtime
from techsapo_ops.stack.health import HealthPart, PartStatus
from techsapo_ops.stack.service import Probe, Service
from techsapo_ops.stack.topology import Topology

_HEALTH = Probe("http", "/api/v1/health")
_GOOD = frozenset({"ok", "healthy", "up", "pass", "ready", "available"})


class AppRuntime(Runtime):
    """It has a key of its own."""

    @override
    def make_keys(self, topology: Topology) -> None:
        made_once(topology.layout.app_key, topology.of_kind("app")[0].user)

    @override
    def health_parts(self, topology: Topology, service: Service, timeout: float) -> tuple[HealthPart, ...]:
        # An instance that answers at all, be it that a dependency fails, is degraded and not down. One that
        # runs another build than the one installed here is well, and says so.
        answer = ask(topology, service, timeout, _HEALTH)
        said = _json(answer.body)
        if said is None:
            return (part_of(service, answer),)
        word = str(said.get("status", "")).lower()
        troubles = list(_troubles(said))
        if said.get("draining") is True:
            troubles.append(msg("draining: the app is about to stop"))
        if word == "down":
            status = PartStatus.DOWN
        elif troubles or not answer.ok or (word and word not in _GOOD):
            status = PartStatus.DEGRADED
        else:
            status = PartStatus.HEALTHY
        if status is PartStatus.HEALTHY:
            detail = joined(", ", _in_use(said)) or answer.detail
        else:
            detail = joined("; ", troubles) or msg("the app reports {word}", word=word)
        runs = _runs(said)
        outdated = runs is not None and is_other(runs, elsewhere=topology.places.from_images)
        if runs is not None:
            detail += msg("; build {runs}", runs=runs) + (
                msg(", installed is {build} ({what})", build=build(), what=difference(runs))
                if outdated
                else ""
            )
        hint = look_at_logs(service, status) or ("`techsapo up`" if outdated else "")
        part = part_of(service, answer, status)
        return (replace(part, detail=detail, hint=hint, build=runs, outdated=outdated),)


def _runs(said: Mapping[str, Any]) -> str | None:
    """The build that an instance tells; None for none."""
    running = said.get("build")
    return str(running) if running else None


def _json(body: bytes) -> Mapping[str, Any] | None:
    try:
        value = json.loads(body)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _dependencies(said: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Name and facts of each dependency; those of a group, such as the providers, one by one."""
    dependencies = said.get("dependencies")
    for name, facts in dependencies.items() if isinstance(dependencies, dict) else ():
        if not isinstance(facts, dict):
            yield name, {"status": facts}
        elif "status" in facts:
            yield name, facts
        else:
            yield from ((each, value) for each, value in facts.items() if isinstance(value, dict))


def _troubles(said: Mapping[str, Any]) -> Iterator[str]:
    """`name: detail` of each dependency that the app says is not well."""
    for name, facts in _dependencies(said):
        word = str(facts.get("status", "ok")).lower()
        if word not in _GOOD:
            yield f"{name}: {facts.get('detail') or word}"


def _in_use(said: Mapping[str, Any]) -> Iterator[str]:
    """What the app runs on: `cache redis`, `audit sqlite`."""
    if said.get("simulated") is True:
        yield msg("simulated providers")
    prices: dict[str, list[str]] = {}
    for name, facts in _dependencies(said):
        if "in_use" in facts:
            yield f"{name} {facts['in_use']}"
        price = facts.get("price")
        if isinstance(price, dict) and said.get("simulated") is not True:
            prices.setdefault(str(price.get("source", "unknown")), []).append(name)
    for source, names in prices.items():
        yield (
            msg("prices of {names}: {source}", names=all_of(names), source=source)
            if len(prices) > 1
            else msg("prices: {source}", source=source)
        )


RUNTIME = AppRuntime()
