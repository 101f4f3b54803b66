"""The environment that a stack was applied in: it holds until `up` applies another one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from techsapo_ops.apply.ledger_entry import last_good
from techsapo_ops.messages import msg
from techsapo_ops.spec import NO_ENVIRONMENT


@dataclass(frozen=True, slots=True)
class EnvironmentChange:
    """Another environment than the one that was applied; None is that of the spec without an overlay."""

    before: str | None
    now: str | None

    def __str__(self) -> str:
        """The change in a line: `environment: production → none`."""
        return msg(
            "environment: {before} → {now}",
            before=self.before or NO_ENVIRONMENT,
            now=self.now or NO_ENVIRONMENT,
        )


def change_of(state: Path, wanted: str | None) -> EnvironmentChange | None:
    """How `wanted` differs from what the stack with the state directory `state` was applied in last.

    None before the first apply: nothing is left then. Raises OpsError where that can't be read.
    """
    applied = last_good(state / "ledger")
    if applied is None or applied.environment == wanted:
        return None
    return EnvironmentChange(applied.environment, wanted)


def environment_of(state: Path | None, named: str | None) -> str | None:
    """The environment that `named` means: "none" is the spec without an overlay, and None the applied one.

    That is of the stack with the state directory `state`, if there is any. Raises OpsError.
    """
    if named is None:
        return applied_environment(state) if state is not None else None
    return None if named == NO_ENVIRONMENT else named


def applied_environment(state: Path) -> str | None:
    """The environment of the last good apply; None also before the first. Raises OpsError."""
    applied = last_good(state / "ledger")
    return applied.environment if applied is not None else None
