"""Which versions of servers a stack runs: what their programs say, or the names of their images."""

from __future__ import annotations

import re
from functools import partial

from techsapo_ops.adapters.process import Command
from techsapo_ops.adapters.questions import at_once
from techsapo_ops.services.registry import kind_of
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.stack import Stack

_SECONDS = 10.0
_VERSION = re.compile(r"(?<![\w.])v?=?(\d+\.\d+(?:\.\d+)*[\w.+~-]*)")
_UNKNOWN = "unknown"


def program_versions(stack: Stack) -> dict[str, str]:
    """By kind the version of its server, `unknown` where it does not say one. The app is not among them."""
    kinds = {service.kind: service for service in stack.topology.services if not service.facts.runs_package}
    if stack.topology.places.from_images:
        spec = stack.spec
        return {name: spec.image_of(name, s.facts.image) for name, s in kinds.items()}
    found = at_once({name: partial(_asked, stack, service) for name, service in kinds.items()}, _SECONDS)
    return {name: told if isinstance(told, str) else _UNKNOWN for name, told in found.items()}


def _asked(stack: Stack, service: Service) -> str:
    if service.binary is None:
        return _UNKNOWN
    option = kind_of(service).version_option
    said = stack.runner.run(Command((service.binary, option)), timeout=_SECONDS).output
    found = _VERSION.search(said)
    return found[1] if found is not None else _UNKNOWN
