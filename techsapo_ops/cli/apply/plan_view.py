"""How a plan looks, on the terminal and as JSON; and an apply: its progress, what was done, the way back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from techsapo_ops.apply.changes import ChangeKind
from techsapo_ops.cli.output import Output, print_error
from techsapo_ops.cli.watch.services_view import action_word
from techsapo_ops.messages import Message, joined, msg, template
from techsapo_ops.stack.step import Action

if TYPE_CHECKING:
    from techsapo_ops.apply.changes import Difference
    from techsapo_ops.apply.origin import Origin, Origins
    from techsapo_ops.apply.outcome import GoneBack, Outcome
    from techsapo_ops.apply.plan import StackPlan
    from techsapo_ops.stack.step import Step


COMPARING = msg("comparing the stack with the spec")
"""What is told where that takes a while."""
_FEW_FILES = 12
Summary = Mapping[str, Mapping[str, int]]
"""How many `files` and `services` there are of each kind of change; a kind without any has 0."""

_REMOVALS = ("removed", "remove")
_FILES = {
    "removed": template("{count} to remove"),
    "added": template("{count} to add"),
    "changed": template("{count} to change"),
    "edited": template("{count} edited by hand"),
}
_SERVICES = {
    "remove": template("{count} to remove"),
    "create": template("{count} to start"),
    "recreate": template("{count} to recreate"),
    "restart": template("{count} to restart"),
    "reload": template("{count} to reload"),
    "nothing": template("{count} unchanged"),
}
_DIFFERENCES = {
    "removed": template("{count} removed"),
    "added": template("{count} added"),
    "changed": template("{count} changed"),
}
"""Each in the order of the line: removals first."""


def show_plan(plan: StackPlan, out: Output, *, diff: bool = False) -> None:
    """Print what would change, on stdout: files first, then services with the reason of each step.

    Of both, what is removed comes first; the last line counts.
    """
    if plan.environment is not None:
        out.data(str(plan.environment))
    if plan.files:
        out.data(msg("files below {config}:", config=plan.desired.topology.layout.config))
        few = len(plan.files) <= _FEW_FILES or diff or out.verbose
        if few:
            for change in sorted(plan.files, key=lambda change: change.kind is not ChangeKind.REMOVED):
                origin = in_brackets(plan.origins.files.get(change.path, ()))
                out.data(
                    msg(
                        "  {kind:8} {path}{origin}",
                        kind=action_word(change.kind),
                        path=change.path,
                        origin=origin,
                    )
                )
                if diff:
                    out.data(change.diff.rstrip("\n"))
        else:
            counted = Counter(change.kind for change in plan.files)
            for kind, count in sorted(counted.items(), key=lambda each: each[0] is not ChangeKind.REMOVED):
                out.data(
                    msg(
                        "  {kind:8} {count} files (--verbose lists them)", kind=action_word(kind), count=count
                    )
                )
    if steps := plan.steps.changes:
        out.data(msg("services:"))
        width = max(len(step.service) for step in steps)
        for step in _removals_first(steps):
            origin = in_brackets(plan.origins.services.get(step.service, ()))
            out.data(msg("  {describe}{origin}", describe=described(step, width), origin=origin))
    if plan.changes:
        out.data(plan_line(plan))


def tell_plan(plan: StackPlan, out: Output, *, diff: bool = False, then: str) -> None:
    """Tell what would change, as text or JSON; `then` is the command that does it, if one can."""
    if out.as_json:
        out.json(plan_json(plan))
        return
    for each in plan.lost:
        out.data(str(each))
    if plan.lost:
        show_plan(plan, out, diff=diff)
        out.say(msg("`up` would refuse this plan, because data is gone; restore the data from a backup"))
        out.next("techsapo backup list")
    elif plan.changes:
        show_plan(plan, out, diff=diff)
        if then:
            out.next(then)
    else:
        out.data(msg("up to date"))


def _removals_first(steps: Iterable[Step]) -> list[Step]:
    """For reading. They are performed in the order of the plan: see engines.planning."""
    return sorted(steps, key=lambda step: step.action is not Action.REMOVE)


def described(step: Step, width: int) -> str:
    """`restart  redis  redis/redis.conf changed`; the name takes `width` columns."""
    return msg(
        "{action:8} {service}  {reason}",
        action=action_word(step.action),
        service=step.service.ljust(width),
        reason=step.reason,
    )


def in_brackets(origins: Sequence[Origin]) -> str:
    """Where a change comes from, as an end of its line: `  (a new version, your spec)`."""
    return msg("  ({origins})", origins=joined(", ", (origin.words for origin in origins))) if origins else ""


def plan_json(plan: StackPlan) -> dict[str, Any]:
    """A plan with stable keys."""
    return {
        "changes": plan.changes,
        "environment": asdict(plan.environment) if plan.environment is not None else None,
        "lost": [{"service": each.service, "words": str(each), **each.known.to_json()} for each in plan.lost],
        "summary": plan_summary(plan),
        "stopped": {name: each.to_json() for name, each in plan.observed.stopped.items()},
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


def plan_summary(plan: StackPlan) -> Summary:
    """What a plan would change."""
    return {
        "files": _counts(_FILES, (str(change.kind) for change in plan.files)),
        "services": _counts(_SERVICES, (str(step.action) for step in plan.steps.steps)),
    }


def plan_line(plan: StackPlan) -> str:
    """`files: 3 to change; services: 1 to restart, 6 unchanged; nothing removed`."""
    return _line(plan_summary(plan), _FILES, _SERVICES)


def difference_summary(difference: Difference) -> Summary:
    """What differs from an earlier apply."""
    known = {"removed", "added"}
    return {
        "files": _counts(_DIFFERENCES, (change.kind for change in difference.files)),
        "services": _counts(
            _DIFFERENCES, (s.what if s.what in known else "changed" for s in difference.services)
        ),
    }


def difference_line(difference: Difference) -> str:
    """`files: 1 added, 2 changed; services: 1 changed; nothing removed`."""
    return _line(difference_summary(difference), _DIFFERENCES, _DIFFERENCES)


def _counts(kinds: Iterable[str], occurrences: Iterable[str]) -> dict[str, int]:
    counted = Counter(occurrences)
    return {kind: counted[kind] for kind in kinds}


def _line(summary: Summary, files: Mapping[str, str], services: Mapping[str, str]) -> str:
    parts: list[str] = []
    for what, heading, words in (
        ("files", template("files: {counts}"), files), ("services", template("services: {counts}"), services),
    ):  # fmt: skip
        counted = [Message(words[kind], {"count": count}) for kind, count in summary[what].items() if count]
        if counted:
            parts.append(Message(heading, {"counts": joined(", ", counted)}))
    if not any(counts.get(kind) for counts in summary.values() for kind in _REMOVALS):
        parts.append(msg("nothing removed"))
    return joined("; ", parts)


class Progress:
    """Tells how an apply goes."""

    def __init__(self, out: Output) -> None:
        self._out = out
        self.origins: Mapping[str, Origins] = {}
        """Where the steps come from, by service."""

    def say(self, text: str) -> None:
        """A line about what is being done, which --verbose shows."""
        self._out.detail(text)

    def warn(self, text: str) -> None:
        """A line that is shown whatever else was asked for."""
        self._out.warn(text)

    def done(self, outcome: Outcome) -> None:
        """A step has ended: its line, with how long it took and why."""
        name = outcome.step.service
        if outcome.error is not None:
            self._out.say(msg("  {name:17} failed after {seconds:.1f} s", name=name, seconds=outcome.seconds))
        elif (action := outcome.step.action) != "nothing":
            why = "" if action == "create" else msg("   {reason}", reason=outcome.step.reason)
            why += in_brackets(self.origins.get(name, ())) if why else ""
            self._out.say(
                msg(
                    "  {name:17} {done} in {seconds:.1f} s{why}",
                    name=name,
                    done=action.done,
                    seconds=outcome.seconds,
                    why=why,
                )
            )


def show_failures(outcomes: Sequence[Outcome], back: GoneBack | None, out: Output) -> None:
    """Print why services failed, and what became of the stack after that."""
    for outcome in outcomes:
        if outcome.error is not None:
            print_error(outcome.error)
    if back is None:
        return
    for error in back.failures:
        print_error(error)
    if back.failures:
        out.warn(msg("went back to apply @{to}, but not completely: see the errors above", to=back.to))
    else:
        out.say(msg("went back to apply @{to}: files and services are as they were then", to=back.to))


def back_json(back: GoneBack | None) -> dict[str, Any] | None:
    """The way back with stable keys."""
    if back is None:
        return None
    return {"to": back.to, "complete": not back.failures, "errors": [e.message for e in back.failures]}


def steps_json(
    outcomes: Sequence[Outcome], origins: Mapping[str, Origins] | None = None
) -> list[dict[str, Any]]:
    """What was performed, with stable keys; `origins` by service, where they are known."""
    return [
        {
            "action": str(o.step.action),
            "service": o.step.service,
            "reason": o.step.reason,
            "origin": [str(origin) for origin in (origins or {}).get(o.step.service, ())],
            "seconds": round(o.seconds, 3),
            "error": o.error.message if o.error else None,
        }
        for o in outcomes
    ]
