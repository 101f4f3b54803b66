"""What a kind of service is, whichever engine runs it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Literal

import yaml


@dataclass(frozen=True, slots=True)
class Probe:
    """How a service's readiness is asked; `path` is for kind http."""

    kind: Literal["http", "redis", "mysql", "tcp"]
    path: str = "/"


@dataclass(frozen=True, slots=True)
class ServiceFacts:
    """One entry of services.yaml; the file's head explains each key."""

    kind: str
    title: str
    image: str
    port: int
    user: str
    uid: int
    probe: Probe
    binary: str | None = None
    package: str | None = None
    data: bool = False
    container_data: str = "/data"
    reload: str | None = None
    needs: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    metrics_path: str | None = None
    published: bool = False
    """Whether a container of it has a port on this host; the others are private to the stack."""
    runs_package: bool = False
    """Whether natively it runs this package, with the Python that runs the tool."""


def _facts(kind: str, entry: dict[str, Any]) -> ServiceFacts:
    rest = {k: v for k, v in entry.items() if k not in {"probe", "needs", "after"}}
    needs, after = tuple(entry.get("needs", ())), tuple(entry.get("after", ()))
    return ServiceFacts(kind=kind, probe=Probe(**entry["probe"]), needs=needs, after=after, **rest)


@cache
def services() -> Mapping[str, ServiceFacts]:
    """Every known service by kind, in the order of services.yaml."""
    text = (files("techsapo_ops.catalogue") / "services.yaml").read_text(encoding="utf-8")
    return MappingProxyType({kind: _facts(kind, entry) for kind, entry in yaml.safe_load(text).items()})
