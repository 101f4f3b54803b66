"""The kinds of which an engine has more to do than to run their program or container."""

from __future__ import annotations

from techsapo_ops.services.registry import kind_of, kinds
from techsapo_ops.services.runtime import Runtime

_DEFAULT = Runtime()


def runtime_of(kind: str) -> Runtime:
    """What an engine has to do of a kind: RUNTIME of the module `runtime` beside it, else the defaults."""
    module = kind_of(kind).beside("runtime")
    runtime: Runtime = module.RUNTIME if module is not None else _DEFAULT
    return runtime


def throwaway_kinds() -> tuple[str, ...]:
    """The kinds of which there can be a throwaway copy."""
    return tuple(kind.name for kind in kinds() if runtime_of(kind.name).throwaway_program is not None)
