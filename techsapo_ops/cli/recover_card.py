"""`techsapo recover card`."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import typer

from techsapo_ops.cli.open_stack import open_stack
from techsapo_ops.cli.options import QuietOutput, SpecPlace
from techsapo_ops.operations.card import page
from techsapo_ops.operations.card.facts import card_of, note_printed


def card(
    language: Annotated[
        Literal["en", "ja"] | None, typer.Option("--lang", help="Language.", show_default="the spec's")
    ] = None,
    *,
    place: SpecPlace,
    out: QuietOutput,
) -> None:
    """Print the page that must exist away from this host: how to have everything back without it.

    One A4 page: the repository, where its password is kept, logins by name, every command for a bare machine,
    DNS names, ports, whom to call, the last copy that was proved. No password is on it. `doctor` says when it
    is out of date.

    Examples:

      techsapo recover card | lp

      techsapo recover card --lang en > card.txt
    """
    stack = open_stack(place.open())
    made, now = card_of(stack), datetime.now().astimezone()
    locale = language or stack.spec.locale
    out.data(page.text(made, locale, now).rstrip("\n"))
    note_printed(stack, made)
    for sentence in made.lacking:
        out.warn(sentence)
