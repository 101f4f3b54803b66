"""Specs, topologies and rendered files for tests of the monitoring's configuration."""

from __future__ import annotations

import pickle
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from fakes.notified import notified
from stacks import templates

from techsapo_ops.adapters.host_facts import HostFacts
from techsapo_ops.catalogue.alerts import alerts
from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.services.alertmanager.configuration import alertmanager_files
from techsapo_ops.services.grafana.kind import grafana_files
from techsapo_ops.services.prometheus.scrape import prometheus_files
from techsapo_ops.services.registry import binary_names, resolve
from techsapo_ops.spec.models import Spec
from techsapo_ops.stack.desired import RenderedFile
from techsapo_ops.stack.layout import Layout
from techsapo_ops.stack.places import EngineName, places_of
from techsapo_ops.stack.topology import Topology

EVERYTHING: dict[str, Any] = {
    "project": "techsapo",
    "app": {
        "instances": [
            {"port": 4000, "weight": 3},
            {"port": 4001, "weight": 2},
            {"port": 4002, "backup": True},
        ]
    },
    "mysql": {},
    "monitoring": {
        "scrape": [{"name": "gpu", "targets": ["10.0.0.5:9400"], "path": "/m"}],
        "exporters": {"blackbox": 9115},
    },
    "notifications": notified(
        {
            "critical": [
                {"kind": "slack", "url": "https://hooks.example/critical"},
                {"kind": "email", "to": "ops@example.com"},
                {"kind": "alertmanager", "config": {"pagerduty_configs": [{"routing_key_file": "/run/key"}]}},
            ],
            "warning": [{"kind": "webhook", "url": "https://hooks.example/warning"}],
            "smtp": {
                "smarthost": "mail.example.com:587",
                "sender": "techsapo@example.com",
                "username": "techsapo",
                "password": "hunter2-mail",
            },
        }
    ),
}
"""A spec that uses every part of the monitoring."""


def spec_of(data: dict[str, Any] | None = None, **sections: Any) -> Spec:
    """A spec of `data` (default: EVERYTHING) with `sections` put in.

    On one host it asks for no login unless it says so: only the start of a stack makes the passwords.
    """
    found = {**(EVERYTHING if data is None else data), **sections}
    if not found.get("hosts"):
        monitoring = found.get("monitoring", {})
        logins = {
            name: {"login": False, **monitoring.get(name, {})} for name in ("prometheus", "alertmanager")
        }
        found["monitoring"] = {**monitoring, **logins}
        found["redis"] = {"accounts": False, **found.get("redis", {})}
    return Spec.model_validate(found)


def alerts_off(*but: str) -> dict[str, Any]:
    """`monitoring.alerts` of a spec that has these alerts alone: Prometheus works on each all the time."""
    return {name: {"enabled": False} for name in alerts() if name not in but}


def episodes_alone(recording: str, away: float) -> str:
    """Of a recording.yml what records episodes; they go on for `away` seconds without their alert, not ten
    minutes.
    """
    (group,) = (g for g in read_yaml(recording)["groups"] if g["name"] == "techsapo-episodes")
    text: str = yaml.safe_dump({"groups": [group]})
    assert "[10m]" in text
    return text.replace("[10m]", f"[{away:g}s]")


def topology_of(spec: Spec, root: Path, engine: EngineName = "native") -> Topology:
    """The stack of `spec` on a host that has every executable; configuration lies in `root`."""
    binaries = {name: f"/usr/bin/{name}" for name in binary_names()}
    return resolve(
        spec,
        places_of(engine),
        Layout(state=root, config=root),
        HostFacts("/usr/bin/python3", binaries=binaries),
    )


SERVERS = {"prometheus": prometheus_files, "alertmanager": alertmanager_files, "grafana": grafana_files}


def monitoring_files(
    spec: Spec, root: Path = Path("/srv/techsapo"), engine: EngineName = "native"
) -> dict[str, RenderedFile]:
    """All files of Prometheus, Alertmanager and Grafana, by path; those of equal specs are made once."""
    stored = pickle.dumps(spec)
    return {file.path: file for server in SERVERS for file in _files(server, stored, root, engine)}


def monitoring_file(
    path: str, spec: Spec, root: Path = Path("/srv/techsapo"), engine: EngineName = "native"
) -> RenderedFile:
    """One of them, such as `prometheus/prometheus.yml`; no other server's are made for it."""
    files = _files(path.partition("/")[0], pickle.dumps(spec), root, engine)
    return next(file for file in files if file.path == path)


@cache
def _files(server: str, stored: bytes, root: Path, engine: EngineName) -> tuple[RenderedFile, ...]:
    return (*SERVERS[server](topology_of(pickle.loads(stored), root, engine), templates()),)  # noqa: S301


def write(files: Iterable[RenderedFile], root: Path) -> None:
    """Put rendered files below `root`."""
    for file in files:
        path = root / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file.content, encoding="utf-8")
