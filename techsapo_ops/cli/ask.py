"""`techsapo ask`."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from techsapo_ops.cli.options import DEFAULT_SPEC, EnvironmentOption, FileOption, JsonOption
from techsapo_ops.errors import OpsError

if TYPE_CHECKING:
    from techsapo_ops.spec.models import Spec

_DEFAULT_TIMEOUT = 120.0
_PATIENCE = 5.0
"""Seconds that we wait longer than the server, so that its own time-out is what the user reads."""
_PING_TIMEOUT = 2.0
_LARGEST = 8 * 1024**2

_NOTES = {
    "sole_answer": "only one provider answered, so nothing could be compared",
    "consensus_below_threshold": "the answers agree less than the threshold asks for",
    "confidence_below_threshold": "confidence is below the threshold",
    "fewer_providers_than_the_tier_asks_for": "fewer providers than this tier asks for",
    "cost_is_a_worst_case": "a price is not known; the cost is an upper bound",
}


class TierName(StrEnum):
    """The task types."""

    BASIC = "basic"
    PREMIUM = "premium"
    CRITICAL = "critical"


def ask(
    question: Annotated[str, typer.Argument(help="The question; - reads it from stdin.")],
    tier: Annotated[TierName, typer.Option("--tier", help="How many models answer.")] = TierName.BASIC,
    url: Annotated[
        str | None, typer.Option("--url", help="The orchestrator's address.", show_default="from the spec")
    ] = None,
    file: FileOption = DEFAULT_SPEC,
    environment: EnvironmentOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask the running orchestrator a question.

    Prints the answer, then the scores and what each provider took and cost.

    Examples:

      techsapo ask "Dockerコンテナが起動しない"

      techsapo ask --tier critical --json "nginx answers 502"

      journalctl -u nginx -n 50 | techsapo ask -
    """
    prompt = sys.stdin.read() if question == "-" else question
    if not prompt.strip():
        raise OpsError("the question is empty", 'e.g. techsapo ask "Dockerコンテナが起動しない"', exit_code=2)
    timeout = _DEFAULT_TIMEOUT
    if url is None:
        from techsapo_ops.cli.wiring import open_project
        from techsapo_ops.spec.models.base import seconds

        spec = open_project(file, environment).spec
        timeout = seconds(spec.app.limits.request_timeout)
        url = _running(_candidates(spec))
    body = _post(url.rstrip("/"), prompt, tier.value, timeout + _PATIENCE)
    if as_json:
        from techsapo_ops.cli.output import Output

        Output(as_json=True).json(body)
    else:
        _show(body)


def _candidates(spec: Spec) -> list[str]:
    """Where the orchestrator may answer: nginx, then the instances, backups last."""
    from techsapo_ops.spec.models.base import reachable_host
    from techsapo_ops.spec.topology import Address

    def url(host: str, port: int) -> str:
        return Address(reachable_host(host), port).url()

    instances = sorted(spec.app.resolved_instances, key=lambda i: i.backup)
    found = [url(spec.app.host, i.port) for i in instances]
    if spec.runs_nginx and spec.served_certificate is None:  # with one it sends plain HTTP elsewhere
        found.insert(0, url(spec.nginx.host, spec.nginx.listen))
    return found


def _running(candidates: list[str]) -> str:
    """The first candidate that wants requests."""
    from techsapo_ops.adapters.http import Unreachable, fetch

    tried = []
    for url in candidates:
        try:
            answer = fetch(f"{url}/ping", timeout=_PING_TIMEOUT)
        except Unreachable as error:
            tried.append(f"{url}: {error.reason}")
            continue
        if answer.ok and answer.text.strip() == "pong":
            return url
        tried.append(f"{url}: HTTP {answer.status}" + ("" if answer.ok else f" {answer.text.strip()[:80]}"))
    raise OpsError(f"the orchestrator is not running ({'; '.join(tried)})", "`techsapo up` starts it")


def _post(url: str, prompt: str, tier: str, timeout: float) -> dict[str, Any]:
    from techsapo_ops.adapters.http import Unreachable, fetch

    content = json.dumps({"prompt": prompt, "task_type": tier}).encode()
    try:
        answer = fetch(
            f"{url}/api/v1/generate",
            method="POST",
            headers={"Content-Type": "application/json"},
            content=content,
            timeout=timeout,
            limit=_LARGEST,
        )
    except Unreachable as error:
        raise OpsError(
            f"the orchestrator at {url} gave no answer: {error.reason}", "`techsapo up` starts it"
        ) from None
    try:
        body = json.loads(answer.body)
        if not isinstance(body, dict):
            raise TypeError
    except (ValueError, TypeError):
        raise OpsError(
            f"{url} answered HTTP {answer.status} with something that is not the orchestrator's",
            "check the address",
        ) from None
    if not answer.ok:
        raise _refused(answer.status, body)
    return body


def _refused(status: int, body: Mapping[str, Any]) -> OpsError:
    detail, code = body.get("detail", ""), body.get("code", "")
    failed = [f"{p['name']}: {p['error']['message']}" for p in body.get("providers", ())]
    told = f" ({'; '.join(failed)})" if failed else ""
    hint = {
        "overloaded": "try again in a moment",
        "timeout": "try again, or raise app.limits.request_timeout",
        "prompt_too_long": "shorten it, or raise app.limits.max_prompt",
        "body_too_large": "shorten it, or raise app.limits.max_body",
        "over_request_budget": "raise budget.per_request_usd, or ask a smaller tier",
    }.get(str(code), f"`techsapo logs --grep {body['request_id']}`" if body.get("request_id") else "")
    return OpsError(f"{detail or f'HTTP {status}'}{told} [{code or status}]", hint)


def _show(body: Mapping[str, Any]) -> None:
    from rich.table import Table
    from rich.text import Text

    from techsapo_ops.cli.output import console

    out = console()
    out.print(Text(body["answer"]))
    out.print()
    needs = body["thresholds"]
    scores = Table.grid(padding=(0, 3, 0, 0))
    for name in ("confidence", "consensus"):
        scores.add_row(name, f"{body[name]:.2f}", Text(f"needs {needs[name]:.2f}", style="dim"))
    accepted = Text("yes", style="green") if body["accepted"] else Text("no", style="yellow")
    scores.add_row("accepted", accepted, Text("provisional: scores are not calibrated", style="dim"))
    cached = "from the cache" if body["cache"] == "hit" else f"{body['processing_ms'] / 1000:.2f} s"
    scores.add_row("cost", f"${body['cost_usd']:.6f}", Text(cached, style="dim"))
    out.print(scores)
    for note in body["notes"]:
        out.print(Text(f"note         {_NOTES.get(note, note)}", style="yellow"))
    out.print()
    table = Table.grid(padding=(0, 3, 0, 0))
    for provider in body["providers"]:
        state = "answered" if provider["status"] == "answered" else f"failed: {provider['error']['kind']}"
        table.add_row(
            provider["name"],
            provider["model"],
            Text(state, style="" if provider["status"] == "answered" else "yellow"),
            Text(f"{provider['seconds']:.2f} s", justify="right"),
            Text(f"${provider['cost_usd']:.6f}", justify="right"),
        )
    out.print(table)
    if body["simulated"]:
        out.print()
        out.print(
            Text("simulated: these answers come from simulated providers, not from a model", style="yellow")
        )
