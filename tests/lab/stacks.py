"""Specs, topologies and renderings for tests of generated files."""

from __future__ import annotations

import pickle
from functools import cache
from pathlib import Path
from typing import Any

from fakes.notified import notified

from techsapo_ops.adapters.host import TOOLS, find_binaries
from techsapo_ops.adapters.host_facts import HostFacts
from techsapo_ops.catalogue.alerts import alerts
from techsapo_ops.render.stack import render_stack
from techsapo_ops.render.templates import Templates
from techsapo_ops.services.registry import binary_names, resolve
from techsapo_ops.spec.models import Spec
from techsapo_ops.stack.desired import RenderedFile
from techsapo_ops.stack.layout import Layout
from techsapo_ops.stack.places import EngineName, places_of
from techsapo_ops.stack.topology import Topology

HOSTILE_FOLDER = "プロ ;ジェ #%h%%\"ト'$x*\\z"
"""A project folder with everything that some output gives a meaning to."""

THREE_INSTANCES = {
    "instances": [
        {"port": 4000, "weight": 3},
        {"port": 4001, "weight": 2},
        {"port": 4002, "weight": 1, "backup": True},
    ]
}
EVERYTHING: dict[str, Any] = {
    "app": THREE_INSTANCES,
    "redis": {"password": "redis-secret"},
    "mysql": {"password": "mysql-secret"},
    "certificates": {"site": {"names": ["techsapo.example.com"]}},
    "notifications": notified({"critical": [{"kind": "slack", "url": "https://hooks.example.com/s3cret"}]}),
    "providers": {"gpt": {"kind": "openai", "model": "gpt-6.1-sol", "api_key": "sk-secret"}},
}
"""Sections that together bring every service and every kind of secret."""


def host(*, root: bool = False, users: frozenset[str] = frozenset()) -> HostFacts:
    """A host with every binary; pure tests need none of them to exist."""
    names = (*binary_names(), *TOOLS)
    return HostFacts("/opt/venv/bin/python", root, {n: f"/usr/bin/{n}" for n in names}, users, users)


def real_host(python: str, *, root: bool) -> HostFacts:
    """This host's executables."""
    return HostFacts(python, root, find_binaries((*binary_names(), *TOOLS), "/usr/local/bin:/usr/bin:/bin"))


def spec(**sections: Any) -> Spec:
    """A valid spec with these sections."""
    return Spec.model_validate({"project": "techsapo", **sections})


def topology(
    spec: Spec, directory: Path, engine: EngineName = "native", facts: HostFacts | None = None
) -> Topology:
    """Where everything is when the spec stands in `directory`."""
    state = directory / ".techsapo"
    return resolve(spec, places_of(engine), Layout(state, state / "generated"), facts or host())


templates = cache(Templates)
"""Our own templates, each compiled once in a run."""


def with_alerts(*names: str) -> dict[str, Any]:
    """Settings of the monitoring without other alerts: their rules are most of what a rendering takes."""
    return {"alerts": {name: {"enabled": False} for name in alerts() if name not in names}}


_made: dict[bytes, tuple[RenderedFile, ...]] = {}


def rendered(spec: Spec, topology: Topology) -> dict[str, RenderedFile]:
    """Every file of the stack by path; those of equal topologies are made once."""
    key = pickle.dumps(topology)
    if key not in _made:
        _made[key] = render_stack(topology, templates())
    return {file.path: file for file in _made[key]}
