"""`techsapo providers`: which there are, and what is known of each."""

from __future__ import annotations

from datetime import UTC, datetime

from techsapo_ops.cli.bundles import CommandGroup
from techsapo_ops.cli.options import JsonOutput, SpecPlace
from techsapo_ops.cli.views.providers import COLUMNS, NUMBERS, notes, provider_json, provider_row
from techsapo_ops.operations.providers import list_providers
from techsapo_ops.spec.edition import edition_of

app = CommandGroup(no_args_is_help=True)


@app.callback()
def providers() -> None:
    """List the providers and what is known of their models, e.g. `techsapo providers list`."""


@app.command(name="list")
def list_all(*, place: SpecPlace, out: JsonOutput) -> None:
    """List the providers in the order in which they are asked: model, price, limits, retirement.

    Nothing is asked of a vendor: what is known of models is a table with source and date. FROM is the tier
    from which on a provider answers at first. LONGEST is the longest answer in tokens, thinking included.

    Examples:

      techsapo providers list

      techsapo providers list --json
    """
    project = place.open()
    loaded = project.loaded
    edition = edition_of(loaded.spec.edition, loaded.environment, project.began_with)
    listed = list_providers(loaded, edition)
    if out.as_json:
        out.json({"providers": [provider_json(row) for row in listed]})
        return
    out.table(COLUMNS, [provider_row(row) for row in listed], right=NUMBERS)
    for note in notes(listed, datetime.now(UTC).date()):
        out.say(note)
