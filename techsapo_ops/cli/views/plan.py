"""How a plan looks, on the terminal and as JSON."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from techsapo_ops.cli.output import Output
    from techsapo_ops.operations.apply.origin import Origin
    from techsapo_ops.operations.apply.plan import StackPlan

_FEW_FILES = 12


def show_plan(plan: StackPlan, out: Output, *, diff: bool = False) -> None:
    """Print what would change, on stdout: files first, then services with the reason of each step."""
    if plan.files:
        out.data(f"files below {plan.desired.topology.layout.config}:")
        few = len(plan.files) <= _FEW_FILES or diff or out.verbose
        if few:
            for change in plan.files:
                origin = in_brackets(plan.origins.files.get(change.path, ()))
                out.data(f"  {change.kind:8} {change.path}{origin}")
                if diff:
                    out.data(change.diff.rstrip("\n"))
        else:
            for kind, count in Counter(str(change.kind) for change in plan.files).items():
                out.data(f"  {kind:8} {count} files (--verbose names them)")
    if steps := plan.steps.changes:
        out.data("services:")
        width = max(len(step.service) for step in steps)
        for step in steps:
            origin = in_brackets(plan.origins.services.get(step.service, ()))
            out.data(f"  {step.describe(width)}{origin}")
    same = len(plan.steps.steps) - len(plan.steps.changes)
    if same and plan.changes:
        out.data("  1 service stays as it is" if same == 1 else f"  {same} services stay as they are")


def in_brackets(origins: Sequence[Origin]) -> str:
    """Where a change comes from, as an end of its line: `  (a new version, your spec)`."""
    return f"  ({', '.join(origin.words for origin in origins)})" if origins else ""


def plan_json(plan: StackPlan) -> dict[str, Any]:
    """A plan with stable keys."""
    return {
        "changes": plan.changes,
        "files": [
            {
                "path": c.path,
                "kind": str(c.kind),
                "diff": c.diff,
                "origin": [str(o) for o in plan.origins.files.get(c.path, ())],
            }
            for c in plan.files
        ],
        "steps": [
            {
                "action": str(s.action),
                "service": s.service,
                "reason": s.reason,
                "origin": [str(o) for o in plan.origins.services.get(s.service, ())],
            }
            for s in plan.steps.steps
        ],
    }
