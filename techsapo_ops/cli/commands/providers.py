"""`techsapo providers`: which there are, and what is known of each."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Annotated

import typer

from techsapo_ops.cli.bundles import CommandGroup
from techsapo_ops.cli.options import JsonOutput, SpecPlace
from techsapo_ops.cli.views.providers import (
    COLUMNS,
    LIST,
    NUMBERS,
    notes,
    provider_json,
    provider_row,
    told_notes,
    told_row,
)
from techsapo_ops.operations.providers import ask_lists, list_providers
from techsapo_ops.spec.edition import edition_of

app = CommandGroup(no_args_is_help=True)


@app.callback()
def providers() -> None:
    """List the providers and what is known of their models, e.g. `techsapo providers list`."""


@app.command(name="list")
def list_all(
    *,
    place: SpecPlace,
    ask: Annotated[
        bool, typer.Option("--ask", help="Also read each vendor's own list of models; that costs nothing.")
    ] = False,
    out: JsonOutput,
) -> None:
    """List the providers in the order in which they are asked: model, price, limits, retirement.

    Without --ask no vendor is asked: what is known of models is a table with source and date. ASKED is the
    tier from which on a provider answers at first, $/M the price of a million tokens in and out, LONGEST the
    longest answer in tokens, thinking included.

    Examples:

      techsapo providers list

      techsapo providers list --ask --json
    """
    project = place.open()
    loaded = project.loaded
    edition = edition_of(loaded.spec.edition, loaded.environment, project.began_with)
    listed = list_providers(loaded, edition)
    if ask and not out.as_json:
        asked = ", ".join(row.name for row in listed if row.can_be_asked)
        out.say(f"reading the vendors' lists of models: {asked or 'no provider can be asked'}")
    told = asyncio.run(ask_lists(listed)) if ask else {}
    if out.as_json:
        out.json({"providers": [provider_json(row, told.get(row.name)) for row in listed]})
        return
    columns = (*COLUMNS, LIST) if ask else COLUMNS
    rows = [provider_row(row) + ([told_row(told.get(row.name))] if ask else []) for row in listed]
    out.table(columns, rows, right=NUMBERS)
    for name, answer in told.items():
        for note in told_notes(name, answer):
            out.warn(note)
    for note in notes(listed, datetime.now(UTC).date()):
        out.say(note)
