"""`techsapo event`."""

from __future__ import annotations

from typing import Annotated

import typer

from techsapo_ops.cli.app.orchestrator import CaFileOption, UrlOption, orchestrator
from techsapo_ops.cli.incidents.client import posted
from techsapo_ops.cli.options import JsonOutput, SpecPlace
from techsapo_ops.cli.output import harmless_values
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg


def event(
    text: Annotated[
        str, typer.Argument(help='What was done, in one line: "deployed shop v12".', show_default=False)
    ],
    service: Annotated[
        str, typer.Option("--service", help="The service of the event.", show_default=False)
    ] = "",
    host: Annotated[str, typer.Option("--host", help="The host of the event.", show_default=False)] = "",
    url: UrlOption = None,
    ca_file: CaFileOption = None,
    *,
    place: SpecPlace,
    out: JsonOutput,
) -> None:
    """Note something that was done, such as a deploy; investigations of incidents take it into account.

    The API key, with the scope `events`, is read from TECHSAPO_API_KEY. Events are never changed.

    Examples:

      techsapo event "deployed shop v12" --service shop

      techsapo event --url https://techsapo.example.com "new firewall rules" --host db1
    """
    if not text.strip() or len(text) > 500:
        raise OpsError(
            msg("an event has 1 to 500 characters"),
            msg('e.g. techsapo event "deployed shop v12"'),
            exit_code=2,
        )
    body = {"text": text, "service": service, "host": host}
    stored = harmless_values(posted(orchestrator(url, place, ca_file), "/api/v1/events", body))
    if out.as_json:
        out.json(stored)
    else:
        out.data(msg("noted at {time}: {text}", time=stored["time"], text=stored["text"]))
