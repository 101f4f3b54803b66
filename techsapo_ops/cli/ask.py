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
    prompt = piped() if question == "-" else question
    if not prompt.strip():
        raise OpsError("the question is empty", 'e.g. techsapo ask "Dockerコンテナが起動しない"', exit_code=2)
    address, timeout, _ = orchestrator(url, file, environment)
    body = {"prompt": prompt, "task_type": tier.value}
    target = f"{address}/api/v1/generate"
    told = _followed(target, body, timeout, as_json=as_json) if stream else post(target, body, timeout)
    from techsapo_ops.cli.output import Output, harmless

    if as_json:
        if not stream:
            Output(as_json=True).json(told)
        return
    from techsapo_ops.cli.answer_view import show_answer

    show_answer(harmless(told))


def piped() -> str:
    """What stands on stdin; bytes that are not UTF-8 are replaced, as logs hold some."""
    return sys.stdin.buffer.read().decode("utf-8", errors="replace")


def orchestrator(url: str | None, file: Path, environment: str | None) -> tuple[str, float, int]:
    """Address of the running orchestrator, seconds to wait for it, and the longest prompt that it takes."""
    if url is not None:
        return _address(url), _DEFAULT_TIMEOUT + _PATIENCE, _DEFAULT_PROMPT
    from techsapo_ops.cli.wiring import open_project
    from techsapo_ops.spec.models.base import seconds

    spec = open_project(file, environment).spec
    limits = spec.app.limits
    return _running(_candidates(spec)), seconds(limits.request_timeout) + _PATIENCE, limits.max_prompt


def _address(url: str) -> str:
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise OpsError(f"--url: {url!r} is not an address", "write e.g. http://127.0.0.1:4000", exit_code=2)
    return url.rstrip("/")


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
        said = answer.text.strip()[:80]
        plain = not answer.ok and not said.startswith(("<", "{"))  # `draining`, but no page and no document
        tried.append(f"{url}: HTTP {answer.status}" + (f" {said}" if plain else ""))
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
            content=_content(body),
            timeout=timeout,
            limit=_LARGEST,
        )
    except Unreachable as error:
        raise _silent(url, error.reason) from None
    told = _parsed(url, answer.status, answer.body)
    if not answer.ok:
        raise _refused(answer.status, told)
    if "request_id" not in told:
        raise _strange(url, answer.status)
    return told


def _content(body: Mapping[str, Any]) -> bytes:
    """`body` as JSON; bytes of an argument that were not UTF-8 are replaced."""
    text = json.dumps(body, ensure_ascii=False)
    return text.encode(errors="surrogateescape").decode(errors="replace").encode()


def _parsed(url: str, status: int, content: bytes | str) -> dict[str, Any]:
    try:
        body = json.loads(content)
        if not isinstance(body, dict):
            raise TypeError
    except (ValueError, TypeError):
        raise _strange(url, status) from None
    return body


def _silent(url: str, reason: str) -> OpsError:
    return OpsError(
        f"the orchestrator at {url} gave no answer: {reason}",
        "`techsapo up` starts it, `techsapo ps` shows its addresses",
    )


def _strange(url: str, status: int) -> OpsError:
    return OpsError(
        f"{url} answered HTTP {status} with something that is not the orchestrator's", "check the address"
    )


def _followed(url: str, body: Mapping[str, Any], timeout: float, *, as_json: bool) -> dict[str, Any]:
    """Print each event as it comes; the answer's document at the end."""
    from techsapo_ops.adapters.http import Unreachable
    from techsapo_ops.adapters.sse import events
    from techsapo_ops.cli.output import harmless

    verdict: dict[str, Any] | None = None
    try:
        for event in events(url, headers=_headers(), content=_content(body), timeout=timeout):
            name, told = event.name, _parsed(url, event.status, event.data)
            if event.status != 200 or name == "problem":
                raise _refused(int(told.get("status", event.status)), told)
            if as_json:
                print(json.dumps({"event": name, **told}, ensure_ascii=False), flush=True)
            elif name != "verdict":
                print(_line(name, harmless(told)), file=sys.stderr, flush=True)
            verdict = told if name == "verdict" else verdict
    except Unreachable as error:
        raise _silent(url, error.reason) from None
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
        "unreachable": "`techsapo ps` shows which instances run",
        "budget_reserved": "try again in a moment",
        "rate_limited": "try again in a moment, or use a key with a larger plan",
        "unauthorized": "set TECHSAPO_API_KEY; `techsapo keys create NAME` makes a key",
        "forbidden": "use a key with scope ask",
    }.get(str(code), f"`techsapo logs --grep {body['request_id']}`" if body.get("request_id") else "")
    return OpsError(f"{detail or f'HTTP {status}'}{told} [{code or status}]", hint)
