"""`techsapo ask`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from techsapo_ops.cli.app.answer_view import show_answer, show_triage
from techsapo_ops.cli.app.orchestrator import (
    CaFileOption,
    LanguageOption,
    Orchestrator,
    TierName,
    TierOption,
    UrlOption,
    asked_for,
    orchestrator,
    piped,
    post,
)
from techsapo_ops.cli.options import JsonOutput, SpecPlace
from techsapo_ops.cli.output import Output, harmless_values
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg

_GENERATE = "/api/v1/generate"
_ANALYZE = "/api/v1/analyze-logs"
_FRAME = 600
"""Characters that the question around a log takes."""


def ask(
    question: Annotated[
        str,
        typer.Argument(
            help="The question, in your own words; - reads the question from stdin. "
            "With --log: what else you know.",
            show_default=False,
        ),
    ] = "",
    log: Annotated[
        Path | None,
        typer.Option(
            "--log",
            metavar="FILE",
            help="Ask what this log shows and what to do about it; - reads the log from stdin.",
            show_default=False,
        ),
    ] = None,
    command: Annotated[
        str, typer.Option("--command", help="With --log: the command that failed.", show_default=False)
    ] = "",
    tier: TierOption = TierName.BASIC,
    language: LanguageOption = None,
    url: UrlOption = None,
    ca_file: CaFileOption = None,
    *,
    place: SpecPlace,
    out: JsonOutput,
) -> None:
    """Ask the running orchestrator a question, or about a log.

    Prints the answer, then the scores, the dissent, and the time and cost of each provider. The API key is
    read from TECHSAPO_API_KEY. The whole question is treated as your own words. Pass a log with --log, not
    in the question: with --log, instructions inside the log are text to analyse, not orders to a model. Only
    the end of a long log is sent.

    Examples:

      techsapo ask "Dockerコンテナが起動しない"

      techsapo ask --tier critical --json "nginx answers 502"

      techsapo ask - < question.txt

      techsapo ask --url https://techsapo.example.com --ca-file ca.pem "nginx answers 502"

      journalctl -u nginx -n 100 | techsapo ask --log - --command "systemctl start nginx"
    """
    text = piped() if question == "-" else question
    read = "" if log is None else _read(log)
    if log is None and not text.strip():
        raise OpsError(
            msg("the question is empty"), msg('e.g. techsapo ask "Dockerコンテナが起動しない"'), exit_code=2
        )
    asked = orchestrator(url, place, ca_file)
    chosen = {"task_type": tier.value, **asked_for(language)}
    if log is not None:
        _ask_about(read, asked, {"user_command": command, "system_context": text, **chosen}, out)
        return
    answer = post(asked, _GENERATE, {"prompt": text, **chosen})
    if out.as_json:
        out.json(answer)
    else:
        show_answer(harmless_values(answer))


def _read(log: Path) -> str:
    """The log's text. Raises OpsError where it can't be read, or is empty."""
    try:
        text = piped() if log == Path("-") else log.read_bytes().decode("utf-8", errors="replace")
    except OSError as error:
        raise OpsError(
            msg("cannot read {log}: {strerror}", log=log, strerror=error.strerror),
            msg("name a file, or pipe the log in"),
            exit_code=2,
        ) from None
    if not text.strip():
        raise OpsError(
            msg("the log is empty"), msg("e.g. journalctl -n 100 | techsapo ask --log -"), exit_code=2
        )
    return text


def _ask_about(log: str, asked: Orchestrator, body: Mapping[str, str], out: Output) -> None:
    """Print what the log says: of a long one its end is sent, with the rest of the request's `body`."""
    room = max(200, asked.max_prompt - len(body["user_command"]) - len(body["system_context"]) - _FRAME)
    triage = post(asked, _ANALYZE, {"error_output": log[-room:], **body})
    if len(log) > room:
        out.say(msg("only the last {room} of {count} characters were sent", room=room, count=len(log)))
    if out.as_json:
        out.json(triage)
    else:
        show_triage(harmless_values(triage))
