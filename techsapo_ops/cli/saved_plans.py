"""`up --plan FILE`: what it takes from the file, and what can't be given beside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from techsapo_ops.cli.open_stack import history_beside
from techsapo_ops.cli.options import SpecChoice
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.spec.environment import NO_ENVIRONMENT

if TYPE_CHECKING:
    from techsapo_ops.operations.apply.plan import StackPlan
    from techsapo_ops.stack.places import EngineName


@dataclass(frozen=True, slots=True)
class Wanted:
    """What `up` is about. `require` raises OpsError for a plan that is not the one in the file."""

    place: SpecChoice
    engine: EngineName | None
    services: tuple[str, ...]
    require: Callable[[StackPlan], None] = lambda _: None


def by_plan(file: Path, place: SpecChoice, engine: EngineName | None, services: tuple[str, ...]) -> Wanted:
    """What the plan in `file` is about; `place`, `engine` and `services` are what else was given.

    Raises OpsError (exit code 2) where they say something else, and for a file that is not to be trusted.
    """
    from techsapo_ops.operations.apply.plan_file import read_plan, require_holds

    history = history_beside(place.file)
    saved = read_plan(file, history.ledger)
    chosen = saved.environment or NO_ENVIRONMENT
    for given, kept, what in (
        (place.environment, chosen, "--environment"),
        (engine, saved.engine, "--engine"),
        (services or None, saved.services, msg("services")),
    ):
        if given is not None and given != kept:
            raise OpsError(
                msg("{what}: the plan in {file} is about something else", what=what, file=file),
                msg("leave it out: the plan says it"),
                exit_code=2,
            )
    return Wanted(SpecChoice(place.file, chosen), saved.engine, saved.services, require_holds(saved, history))
