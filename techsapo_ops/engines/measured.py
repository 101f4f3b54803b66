"""What services use, beside what is seen of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from techsapo_ops.stack.observed import Observed, Usage


def with_usage(observed: Observed, usage: Mapping[str, Usage]) -> Observed:
    """`observed` with what each service uses; `usage` has it by name for those that run."""
    services = {name: replace(seen, usage=usage.get(name)) for name, seen in observed.services.items()}
    return replace(observed, services=services)
