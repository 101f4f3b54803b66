"""`techsapo providers`: which there are, what is known of each, and whether it answers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from techsapo_ops.cli.app.providers_view import COLUMNS, NUMBERS, notes, provider_json, provider_row
from techsapo_ops.cli.bundles import CommandGroup
from techsapo_ops.cli.options import FullOutput, JsonOutput, SpecChoice, SpecPlace
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.wallbounce.providers.overview import list_providers

app = CommandGroup(no_args_is_help=True)


@app.callback()
def providers() -> None:
    """List the providers and what is known of their models, or test them, e.g. `techsapo providers list`."""


@app.command(name="list")
def list_all(*, place: SpecPlace, out: JsonOutput) -> None:
    """List the providers in the order in which they are asked: model, price, limits, retirement.

    No vendor is asked: what is known of models is a table with source and date. ASKED is the tier from which
    on a provider answers at first, $/M the price of a million tokens in and out, LONGEST the longest answer
    in tokens, thinking included.

    Examples:

      techsapo providers list

      techsapo providers list --json
    """
    listed = list_providers(place.open().loaded)
    if out.as_json:
        out.json({"providers": [provider_json(row) for row in listed]})
        return
    out.table(COLUMNS, [provider_row(row) for row in listed], right=NUMBERS)
    for note in notes(listed, datetime.now(UTC).date()):
        out.say(note)
    if any(row.lacks is None and row.model is not None for row in listed):
        out.say(msg("a test asks each a small question, for at most a cent a provider"))
        out.next("techsapo providers test")


def _completed(context: typer.Context, incomplete: str) -> list[str]:
    place = SpecChoice(
        context.params.get("file") or context.params.get("short"), context.params.get("environment")
    )
    try:
        names = place.open().spec.providers
    except OpsError:
        return []  # the shell asks on each press of Tab; the command itself says what is wrong
    return [name for name in names if name.startswith(incomplete)]


@app.command(name="test")
def run(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]…", help="Only these providers.", autocompletion=_completed),
    ] = None,
    *,
    place: SpecPlace,
    at_most: Annotated[
        float, typer.Option("--at-most", metavar="USD", min=0, max=10, help="What each provider may cost.")
    ] = 0.01,
    out: FullOutput,
) -> None:
    """Ask each provider a small question, as an analysis would, and say what works and what does not.

    Its key, its model and that one's end, an answer in the schema, time and cost. It needs no running stack.
    A provider costs at most a cent, which the app's budgets do not count. Ends with 0 when all answered and
    nothing failed, else 1: also where one costs too much to be asked.

    Examples:

      techsapo providers test

      techsapo providers test claude --at-most 0.05

      techsapo providers test --json
    """
    from techsapo_ops.cli.app.provider_tests_view import all_well, said_before, show, tests_json, told_now
    from techsapo_ops.cli.signals import interruptible
    from techsapo_ops.wallbounce.providers.overview import plan_tests, run_tests

    tests = plan_tests(place.open().loaded, names or (), at_most)
    if tests.candidates:
        out.say(said_before(tests))
    with interruptible():
        found = run_tests(tests, datetime.now(UTC).date(), lambda tried: told_now(tried, out))
    if out.as_json:
        out.json(tests_json(tests, found))
    else:
        show(tests, found, out)
    raise typer.Exit(0 if all_well(tests, found) else 1)
