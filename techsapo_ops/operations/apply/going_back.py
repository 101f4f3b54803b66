"""The way back from an apply on several machines, of which some were lost meanwhile."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.stack.desired import Desired
from techsapo_ops.stack.step import Step


def elsewhere(steps: Sequence[Step], desired: Desired, lost: Collection[str]) -> list[Step]:
    """The steps of what is not on one of the machines that are lost."""
    there = {s.name for s in desired.topology.services if s.machine.name in lost}
    return [step for step in steps if step.service not in there]


def to_one_host(to: int) -> str:
    """What is told where nothing goes back to an apply on one host alone, by itself."""
    return msg(
        "not going back to @{to}, which ran on one host: `techsapo rollback`, called there, does", to=to
    )


def not_back(lost: Mapping[str, str], to: int) -> OpsError | None:
    """What is told of the machines that went back to nothing, as they do not answer; None for none."""
    if not lost:
        return None
    reasons = "; ".join(f"{name}: {why}" for name, why in lost.items())
    return OpsError(
        msg("not gone back ({reasons}): what runs there, or starts when it is there again, may be what "
            "failed", reasons=reasons),
        msg("once {name} answers: `techsapo rollback @{to}`, or `techsapo up` with a spec that works; where "
            "it is lost for good: `techsapo hosts replace {name}`", name=next(iter(lost)), to=to),
    )  # fmt: skip
