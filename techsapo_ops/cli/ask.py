"""`techsapo ask`."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from techsapo_ops.cli.options import DEFAULT_SPEC, EnvironmentOption, FileOption, JsonOption
from techsapo_ops.errors import OpsError

if TYPE_CHECKING:
    from techsapo_ops.spec.models import Spec

_DEFAULT_TIMEOUT = 120.0
_DEFAULT_PROMPT = 20_000
_PATIENCE = 5.0
"""Seconds that we wait longer than the server, so that its own time-out is what the user reads."""
_PING_TIMEOUT = 2.0
_LARGEST = 8 * 1024**2
_SHORT = 160
"""Characters of each provider's own answer that are shown; --json has them whole."""

_NOTES = {
    "sole_answer": "only one provider answered, so nothing could be compared",
    "consensus_below_threshold": "the answers agree less than the threshold asks for",
    "confidence_below_threshold": "confidence is below the threshold",
    "fewer_providers_than_the_tier_asks_for": "fewer providers than this tier asks for",
    "cost_is_a_worst_case": "a price is not known; the cost is an upper bound",
    "split": "two answers contradict each other; nothing says which is right",
    "grade_below_threshold": "the other providers graded the answer too low",
    "critical_claim_contradicted": "more peers contradict its main claim than hold it",
    "destructive_not_unanimous": "it cannot be undone and not every provider proposes it",
    "answer_addresses_graders": "the answer tries to tell its graders what to do",
    "grading_incomplete": "some gradings failed",
    "refused_low_confidence": "refused: too unsure even with every provider that could be asked",
    "refused_for_budget": "refused: another voice is needed and the budget does not allow it",
    "refused_too_few_providers": "refused: fewer than two providers are healthy",
    "not_heard_higher_up": "it cannot be undone, and no further provider could be asked about it",
    "out_of_time": "there was no time left to ask another provider",
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
    stream: Annotated[
        bool,
        typer.Option("--stream", help="Show what happens while it happens; with --json one event a line."),
    ] = False,
    file: FileOption = DEFAULT_SPEC,
    environment: EnvironmentOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask the running orchestrator a question.

    Prints the answer, then the scores, the dissent, and what each provider took and cost. An API key is
    read from TECHSAPO_API_KEY.

    Examples:

      techsapo ask "Dockerコンテナが起動しない"

      techsapo ask --tier critical --json "nginx answers 502"

      journalctl -u nginx -n 50 | techsapo ask -
    """
    prompt = sys.stdin.read() if question == "-" else question
    if not prompt.strip():
        raise OpsError("the question is empty", 'e.g. techsapo ask "Dockerコンテナが起動しない"', exit_code=2)
    address, timeout, _ = orchestrator(url, file, environment)
    body = {"prompt": prompt, "task_type": tier.value}
    target = f"{address}/api/v1/generate"
    told = _followed(target, body, timeout, as_json=as_json) if stream else post(target, body, timeout)
    if as_json:
        if not stream:
            from techsapo_ops.cli.output import Output

            Output(as_json=True).json(told)
        return
    _show(told)


def orchestrator(url: str | None, file: Path, environment: str | None) -> tuple[str, float, int]:
    """Address of the running orchestrator, seconds to wait for it, and the longest prompt that it takes."""
    if url is not None:
        return url.rstrip("/"), _DEFAULT_TIMEOUT + _PATIENCE, _DEFAULT_PROMPT
    from techsapo_ops.cli.wiring import open_project
    from techsapo_ops.spec.models.base import seconds

    spec = open_project(file, environment).spec
    limits = spec.app.limits
    return _running(_candidates(spec)), seconds(limits.request_timeout) + _PATIENCE, limits.max_prompt


def _candidates(spec: Spec) -> list[str]:
    """Where the orchestrator may answer: nginx, then the instances, backups last."""
    from techsapo_ops.spec.topology import Address

    def url(host: str, port: int) -> str:
        reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
        return Address(reachable, port).url()

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


def _headers() -> dict[str, str]:
    from techsapo_ops.cli.wiring import api_key

    key = api_key()
    bearer = {"Authorization": f"Bearer {key.reveal()}"} if key is not None else {}
    return {"Content-Type": "application/json", **bearer}


def post(url: str, body: Mapping[str, Any], timeout: float) -> dict[str, Any]:
    """The JSON that the orchestrator answers. Raises OpsError with what it said instead."""
    from techsapo_ops.adapters.http import Unreachable, fetch

    try:
        answer = fetch(
            url,
            method="POST",
            headers=_headers(),
            content=json.dumps(body).encode(),
            timeout=timeout,
            limit=_LARGEST,
        )
    except Unreachable as error:
        raise OpsError(
            f"the orchestrator at {url} gave no answer: {error.reason}", "`techsapo up` starts it"
        ) from None
    told = _parsed(url, answer.status, answer.body)
    if not answer.ok:
        raise _refused(answer.status, told)
    return told


def _parsed(url: str, status: int, content: bytes | str) -> dict[str, Any]:
    try:
        body = json.loads(content)
        if not isinstance(body, dict):
            raise TypeError
    except (ValueError, TypeError):
        raise OpsError(
            f"{url} answered HTTP {status} with something that is not the orchestrator's",
            "check the address",
        ) from None
    return body


def _followed(url: str, body: Mapping[str, Any], timeout: float, *, as_json: bool) -> dict[str, Any]:
    """Print each event as it comes; the answer's document at the end."""
    from techsapo_ops.adapters.http import Unreachable
    from techsapo_ops.adapters.sse import events

    verdict: dict[str, Any] | None = None
    try:
        for status, name, data in events(
            url, headers=_headers(), content=json.dumps(body).encode(), timeout=timeout
        ):
            told = _parsed(url, status, data)
            if status != 200 or name == "problem":
                raise _refused(int(told.get("status", status)), told)
            if as_json:
                print(json.dumps({"event": name, **told}, ensure_ascii=False), flush=True)
            elif name != "verdict":
                print(_line(name, told), file=sys.stderr, flush=True)
            verdict = told if name == "verdict" else verdict
    except Unreachable as error:
        raise OpsError(
            f"the orchestrator at {url} gave no answer: {error.reason}", "`techsapo up` starts it"
        ) from None
    if verdict is None:
        raise OpsError(f"{url} ended without a verdict", "try again; `techsapo logs` may say why")
    return verdict


def _line(name: str, told: Mapping[str, Any]) -> str:
    """One event in words."""
    who = told.get("provider", "")
    match name:
        case "answered" | "revised":
            return f"{name:<10} {who}  {told['seconds']:.2f} s  ${told['cost_usd']:.6f}"
        case "graded":
            given = ", ".join(f"{g['subject']} {g['grade']:.2f}" for g in told["grades"])
            return f"{name:<10} {who}  {given}"
        case "bounced":
            after = "no revision" if told["after"] is None else f"{told['after']:.2f}"
            kept = "kept" if told["kept"] else "not kept"
            return f"{name:<10} {who}  round {told['round']}: {told['before']:.2f} to {after}, {kept}"
        case "escalated":
            return f"{name:<10} to {told['tier']} ({told['reason']}): {', '.join(told['providers'])}"
        case "failed":
            return f"{name:<10} {who}  {told['phase']}: {told['kind']}: {told['message']}"
        case _:
            return name


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
        "budget_exhausted": "raise `budget`, or wait until it resets; `techsapo costs` shows where it went",
        "budget_reserved": "try again in a moment",
        "rate_limited": "try again in a moment, or use a key with a larger plan",
        "unauthorized": "set TECHSAPO_API_KEY; `techsapo keys create NAME` makes a key",
        "forbidden": "use a key with scope ask",
    }.get(str(code), f"`techsapo logs --grep {body['request_id']}`" if body.get("request_id") else "")
    return OpsError(f"{detail or f'HTTP {status}'}{told} [{code or status}]", hint)


def _show(body: Mapping[str, Any]) -> None:
    from rich.text import Text

    from techsapo_ops.cli.output import console

    out = console()
    out.print(Text(body["answer"]))
    out.print()
    show_examination(body)


def _graded(provider: Mapping[str, Any]) -> str:
    grade = provider.get("grade")
    if grade is None:
        return ""
    return f"graded {grade:.2f}, {'agrees' if provider.get('agrees') else 'dissents'}"


def _shortened(answer: str) -> str:
    line = " ".join(answer.split())
    return line if len(line) <= _SHORT else f"{line[: _SHORT - 1]}…"


def _dissent(body: Mapping[str, Any]) -> list[str]:
    return [f"{d['provider']}: {d['root_cause']} (graded {d['grade']:.2f})" for d in body.get("dissent", ())]


def _unsettled(body: Mapping[str, Any]) -> list[str]:
    return [
        f"{u['claim']} (contradicted by {', '.join(a['provider'] for a in u['against'])})"
        for u in body.get("unsettled", ())
    ]


def _danger(body: Mapping[str, Any]) -> list[str]:
    return [" : ".join(filter(None, (d["command"], d["why"]))) for d in body.get("destructive", ())]


def _history(body: Mapping[str, Any]) -> list[tuple[str, str]]:
    bounced = [
        (
            "bounced",
            f"{b['provider']}, round {b['round']}: {len(b['claims'])} contested, graded {b['before']:.2f} → "
            f"{'nothing' if b['after'] is None else format(b['after'], '.2f')}, "
            f"{'revised' if b['kept'] else 'kept as it was'}",
        )
        for b in body.get("bounces", ())
    ]
    escalated = [
        ("escalated", f"to {e['tier']} ({e['reason']}): {', '.join(e['providers'])} joined blind")
        for e in body.get("escalations", ())
    ]
    return bounced + escalated


def show_examination(body: Mapping[str, Any]) -> None:
    """Print the scores, the notes, the dissent and each provider's part of an answer's document."""
    from rich.table import Table
    from rich.text import Text

    from techsapo_ops.cli.output import console

    out = console()
    needs = body["thresholds"]
    scores = Table.grid(padding=(0, 3, 0, 0))
    for name in ("confidence", "consensus"):
        scores.add_row(name, f"{body[name]:.2f}", Text(f"needs {needs[name]:.2f}", style="dim"))
    refused = body.get("outcome") == "refused"
    accepted = Text("yes", style="green") if body["accepted"] else Text("no", style="yellow")
    if refused:
        accepted = Text("refused", style="red")
    fitted = "calibrated" if body["calibrated"] else "provisional: scores are not calibrated"
    scores.add_row("accepted", accepted, Text(fitted, style="dim"))
    cached = "from the cache" if body["cache"] == "hit" else f"{body['processing_ms'] / 1000:.2f} s"
    scores.add_row("cost", f"${body['cost_usd']:.6f}", Text(cached, style="dim"))
    out.print(scores)
    for line in _danger(body):
        out.print(Text(f"destructive  {line}", style="bold red"))
    for note in body["notes"]:
        out.print(Text(f"note         {_NOTES.get(note, note)}", style="yellow"))
    for title, line in _history(body):
        out.print(Text(f"{title:<12} {line}", style="dim"))
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
            Text(_graded(provider), style="dim"),
        )
    out.print(table)
    for provider in body["providers"]:
        if provider.get("answer"):
            out.print()
            out.print(Text(f"{provider['name']}:", style="bold"), Text(_shortened(provider["answer"])))
    for title, lines in (("dissent", _dissent(body)), ("unsettled", _unsettled(body))):
        for line in lines:
            out.print(Text(f"{title:<12} {line}", style="yellow"))
    if body["simulated"]:
        out.print()
        out.print(
            Text("simulated: these answers come from simulated providers, not from a model", style="yellow")
        )
