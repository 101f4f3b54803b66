"""`techsapo budget`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from techsapo_ops.cli.bundles import CommandGroup
from techsapo_ops.cli.open_stack import open_stack
from techsapo_ops.cli.options import JsonOutput, SpecPlace, WaitOption, YesOption
from techsapo_ops.cli.output import confirm
from techsapo_ops.messages import msg
from techsapo_ops.operations.apply.stop import locked
from techsapo_ops.operations.budget import reset_budget
from techsapo_ops.stores.budget_ledger import PERIODS

app = CommandGroup(no_args_is_help=True, help="Let a budget start at zero, e.g. `techsapo budget reset day`.")


class BudgetPeriod(StrEnum):
    """Whose budgets."""

    DAY = "day"
    MONTH = "month"


@app.callback()
def root() -> None:
    """What is spent is in `techsapo status`; what answers cost in `techsapo costs`."""


@app.command()
def reset(
    period: Annotated[BudgetPeriod, typer.Argument(help="Which budget: of the day or of the month.")],
    *,
    place: SpecPlace,
    yes: YesOption = False,
    wait: WaitOption = 0.0,
    out: JsonOutput,
) -> None:
    """Let the present day's or month's budgets start at zero, everybody's and the keys'.

    Such as where the audit log was lost, so that the day counts as spent. The app knows it within seconds,
    and it is recorded who did it. What is spent from then on counts as usual.

    Examples:

      techsapo budget reset day
    """
    stack = open_stack(place.open())
    word = PERIODS[period.value]
    if not confirm(msg("let the budget of the {period} start at zero now?", period=word), yes=yes):
        out.say(msg("nothing was changed; --yes confirms it"))
        raise typer.Exit(1)
    with locked(stack.layout, wait):
        at = reset_budget(stack, period.value, out.warn)
    if out.as_json:
        out.json({"period": period.value, "reset": at.isoformat()})
    out.say(msg("the budget of the {period} starts at zero", period=word))
    out.next("techsapo status")
