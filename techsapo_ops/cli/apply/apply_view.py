"""How an apply looks: while it goes on, what was done, and the way back after a failure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from techsapo_ops.cli.apply.plan_view import in_brackets
from techsapo_ops.cli.output import Output, print_error
from techsapo_ops.messages import msg

if TYPE_CHECKING:
    from techsapo_ops.apply.origin import Origins
    from techsapo_ops.apply.outcome import GoneBack, Outcome


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
        out.warn(msg("went back to @{to}, but not entirely: see above", to=back.to))
    else:
        out.say(msg("went back to @{to}: files and services are as they were", to=back.to))


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
