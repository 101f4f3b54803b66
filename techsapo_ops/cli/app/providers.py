"""`techsapo providers`: which there are, what is known of each, and whether it answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from techsapo_ops.cli.options import FullOutput, JsonOutput, SpecChoice, SpecPlace
from techsapo_ops.cli.typer_base import CommandGroup
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.wallbounce.providers.overview import ListedProvider, list_providers

if TYPE_CHECKING:
    from techsapo_ops.cli.project import Project
    from techsapo_ops.wallbounce.feedback.track_record import TrackRecord
    from techsapo_ops.wallbounce.providers.provider import Price


app = CommandGroup(no_args_is_help=True)


@app.callback()
def providers() -> None:
    """List the providers and the facts about their models, or test them, e.g. `techsapo providers list`."""


@app.command(name="list")
def list_all(*, place: SpecPlace, out: JsonOutput) -> None:
    """List the providers in the order in which they are asked: model, price, limits, retirement.

    No vendor is asked: the facts about models come from a built-in table with sources and dates. ASKED is the
    lowest tier that asks the provider from the start. $/M is the price of a million tokens, input / output.
    LONGEST is the longest answer in tokens, thinking included.

    Examples:

      techsapo providers list

      techsapo providers list --json
    """
    project = place.open()
    listed = list_providers(project.loaded)
    records = _records(project)
    if out.as_json:
        out.json({"providers": [provider_json(row, records.get(row.model or "")) for row in listed]})
        return
    out.table(COLUMNS, [provider_row(row) for row in listed], right=NUMBERS)
    for note in notes(listed, datetime.now(UTC).date()):
        out.say(note)
    from techsapo_ops.cli.app.providers_view import record_line

    for row in listed:
        if (record := records.get(row.model or "")) is not None:
            out.say(record_line(row.name, record))
    if any(row.lacks is None and row.model is not None for row in listed):
        out.say(msg("a test asks each provider a small question and costs at most one cent per provider"))
        out.next("techsapo providers test")


def _records(project: Project) -> dict[str, TrackRecord]:
    """The record of each model, by what people said of its answers; none where the audit log is away."""
    from techsapo_ops.cli.open_stack import open_stack
    from techsapo_ops.wallbounce.feedback.judged import judged
    from techsapo_ops.wallbounce.feedback.track_record import track_records
    from techsapo_ops.watch.costs import answered_of

    try:
        return {each.model: each for each in track_records(judged(answered_of(open_stack(project), 90)))}
    except OpsError:
        return {}


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
        typer.Argument(metavar="[NAME]…", help="Test only these providers.", autocompletion=_completed),
    ] = None,
    *,
    place: SpecPlace,
    at_most: Annotated[
        float,
        typer.Option("--at-most", metavar="USD", min=0, max=10, help="The most that each provider may cost."),
    ] = 0.01,
    out: FullOutput,
) -> None:
    """Ask each provider a small question, as an analysis would, and show what works and what does not.

    Checks the key, the model and its retirement, the time, the cost, and whether the answer fits the schema.
    Needs no running stack. By default, each provider costs at most one cent; this cost does not count towards
    the app's budgets. The exit code is 0 if every provider answered and no check failed, else 1. A provider
    that is too expensive to ask counts as one that did not answer.

    Examples:

      techsapo providers test

      techsapo providers test claude --at-most 0.05

      techsapo providers test --json
    """
    from techsapo_ops.cli.app.providers_view import all_well, announcement, say_tested, show, tests_json
    from techsapo_ops.cli.process import interruptible
    from techsapo_ops.wallbounce.providers.overview import plan_tests, run_tests

    tests = plan_tests(place.open().loaded, names or (), at_most)
    if tests.candidates:
        out.say(announcement(tests))
    with interruptible():
        tested = run_tests(tests, datetime.now(UTC).date(), lambda tried: say_tested(tried, out))
    if out.as_json:
        out.json(tests_json(tests, tested))
    else:
        show(tests, tested, out)
    raise typer.Exit(0 if all_well(tests, tested) else 1)


COLUMNS = ("name", "kind", "model", "asked", "$/m", "longest", "retires")
NUMBERS = ("longest",)
_UNKNOWN = "-"


def provider_row(listed: ListedProvider) -> list[str]:
    """One line of the table of COLUMNS; sources and reasons come below it."""
    end = listed.end.retires if listed.end is not None else None
    section, price = listed.section, listed.price
    return [
        listed.name,
        section.kind if section is not None else _UNKNOWN,
        listed.model or _UNKNOWN,
        "unavailable" if listed.lacks is not None else next(iter(listed.tiers), "spare"),
        f"{price.input:g} / {price.output:g}" if price is not None else _UNKNOWN,
        f"{listed.longest:,}" if listed.longest is not None else _UNKNOWN,
        str(end) if end is not None else _UNKNOWN,
    ]


def notes(providers: Sequence[ListedProvider], today: date) -> Iterator[str]:
    """What the table has no room for: why a provider is unavailable, ends, and where numbers come from."""
    for listed in providers:
        if listed.lacks is not None:
            yield msg("{listed}: {lacks}", listed=listed.name, lacks=listed.lacks)
        if (end := listed.end) is not None:
            verb = (
                msg("was retired by its vendor")
                if end.retires <= today
                else msg("will be retired by its vendor")
            )
            successor = (
                msg("; the vendor names {replacement} as its replacement", replacement=end.replacement)
                if end.replacement
                else ""
            )
            yield msg(
                "{listed}: {model} {verb} on {retires} ({read}){successor}",
                listed=listed.name,
                model=listed.model,
                verb=verb,
                retires=end.retires,
                read=end.source.read,
                successor=successor,
            )
    prices: dict[str, list[str]] = {}
    for listed in providers:
        if listed.price is not None:
            prices.setdefault(listed.price.source, []).append(listed.name)
    for source, names in prices.items():
        by = "the spec" if source == "spec" else source
        yield msg("price of {names}: from {source}", names=", ".join(names), source=by)
    yield msg("a provider's `max_output_tokens` limits the length of its answers")


def provider_json(listed: ListedProvider, record: TrackRecord | None = None) -> dict[str, Any]:
    """One provider with stable keys; null where nothing is known."""
    section, end = listed.section, listed.end
    return {
        "name": listed.name,
        "kind": section.kind if section is not None else None,
        "model": listed.model,
        "usable": listed.lacks is None,
        "reason": listed.lacks,
        "tiers": list(listed.tiers),
        "price": _price_json(listed.price),
        "record": asdict(record) if record is not None else None,
        "max_output_tokens": listed.longest,
        "end": {
            "retires": str(end.retires),
            "replacement": end.replacement,
            "as_of": str(end.source.as_of),
            "second_hand": end.source.second_hand,
            "source": end.source.where,
        }
        if end is not None
        else None,
    }


def _price_json(price: Price | None) -> dict[str, Any] | None:
    if price is None:
        return None
    return {
        "input": price.input,
        "output": price.output,
        "cached_input": price.cached,
        "cache_write": price.cache_write,
        "known": price.known,
        "source": price.source,
    }
