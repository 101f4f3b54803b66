"""`techsapo analyze-logs`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from techsapo_ops.cli.language import spoken
from techsapo_ops.cli.options import JsonOutput, SpecPlace
from techsapo_ops.cli.orchestrator import (
    LanguageOption,
    TierName,
    TierOption,
    UrlOption,
    asked_for,
    orchestrator,
    piped,
    post,
)
from techsapo_ops.cli.output import console, harmless_values
from techsapo_ops.cli.peer import TlsOptions
from techsapo_ops.cli.views.answer import show_examination
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg


def analyze_logs(
    log: Annotated[Path | None, typer.Argument(help="File that holds the log.", show_default="stdin")] = None,
    command: Annotated[str, typer.Option("--command", help="The command that failed.")] = "",
    context: Annotated[str, typer.Option("--context", help="Host, versions, what was changed.")] = "",
    tier: TierOption = TierName.BASIC,
    language: LanguageOption = None,
    url: UrlOption = None,
    *,
    tls: TlsOptions,
    place: SpecPlace,
    out: JsonOutput,
) -> None:
    """Find out what a log says and what to do. Of a long log the end is sent.

    Examples:

      journalctl -u nginx -n 100 | techsapo analyze-logs --command "systemctl start nginx"
    """
    text = _read(log)
    if not text.strip():
        raise OpsError(
            msg("the log is empty"), msg("e.g. journalctl -n 100 | techsapo analyze-logs"), exit_code=2
        )
    asked = orchestrator(url, place, tls)
    room = max(200, asked.max_prompt - len(command) - len(context) - _FRAME)
    cut = len(text) > room
    body = {
        "user_command": command,
        "error_output": text[-room:],
        "system_context": context,
        "task_type": tier.value,
        **asked_for(language),
    }
    told = post(asked, "/api/v1/analyze-logs", body)

    if cut:
        out.say(msg("only the last {room} of {count} characters were sent", room=room, count=len(text)))
    if out.as_json:
        out.json(told)
    else:
        _show(harmless_values(told))


_FRAME = 600
"""Characters that the question around a log takes."""


def _read(log: Path | None) -> str:
    if log is None:
        return piped()
    try:
        return log.read_bytes().decode("utf-8", errors="replace")
    except OSError as error:
        raise OpsError(
            msg("cannot read {log}: {strerror}", log=log, strerror=error.strerror),
            msg("name a file, or pipe the log in"),
            exit_code=2,
        ) from None


def _show(told: dict[str, Any]) -> None:
    from rich.table import Table
    from rich.text import Text

    out = console()
    styles = {"critical": "bold red", "high": "red", "medium": "yellow"}
    facts = Table.grid(padding=(0, 3, 0, 0))
    facts.add_row(spoken(msg("category")), told["problem_category"])
    facts.add_row(spoken(msg("severity")), Text(told["severity"], style=styles.get(told["severity"], "")))
    facts.add_row(spoken(msg("root cause")), Text(told["root_cause"]))
    out.print(facts)
    out.print()
    for number, step in enumerate(told["solution_steps"], 1):
        out.print(Text(f"{number:>2}. {step}"), soft_wrap=True)
    out.print()
    show_examination(told["analysis"])
