"""`techsapo feedback`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from techsapo_ops.cli.app.orchestrator import CaFileOption, UrlOption, orchestrator, strange
from techsapo_ops.cli.incidents.client import posted
from techsapo_ops.cli.options import JsonOutput, SpecPlace
from techsapo_ops.cli.output import harmless_values
from techsapo_ops.messages import msg

_PATH = "/api/v1/feedback"


class SaidName(StrEnum):
    """What may be said of an answer."""

    RIGHT = "right"
    PARTLY = "partly"
    WRONG = "wrong"
    UNUSED = "unused"
    UNKNOWN = "unknown"


def feedback(
    request: Annotated[str, typer.Argument(help="The answer's request id.", show_default=False)],
    label: Annotated[
        SaidName,
        typer.Argument(
            help="Whether the answer was right. unused: nobody acted on the answer; unknown: you can't tell.",
            show_default=False,
        ),
    ],
    solved: Annotated[
        bool | None,
        typer.Option(
            "--solved/--not-solved", help="Whether the answer solved the problem.", show_default="not said"
        ),
    ] = None,
    url: UrlOption = None,
    ca_file: CaFileOption = None,
    *,
    place: SpecPlace,
    out: JsonOutput,
) -> None:
    """Say whether an answer was right, so that confidence can learn from it.

    The API key, with the scope `label`, is read from TECHSAPO_API_KEY, and its name is stored with the
    label. If you change your mind, run the command again: every label is stored, and your last label counts.
    `right` and `--solved` answer different questions: a right answer may solve nothing.

    Examples:

      techsapo feedback 4f1c0e6a9b6d4c0f right --solved

      techsapo feedback --url https://techsapo.example.com 4f1c0e6a9b6d4c0f wrong
    """
    asked = orchestrator(url, place, ca_file)
    body = {"request_id": request, "label": label.value, "solved": solved, "via": "cli"}
    stored = harmless_values(posted(asked, _PATH, body))
    if not {"label", "who"} <= stored.keys():
        raise strange(f"{asked.peer.url}{_PATH}", 200)
    if out.as_json:
        out.json(stored)
    else:
        out.say(msg("stored: {label}, by {who}", label=stored["label"], who=stored["who"] or "-"))
