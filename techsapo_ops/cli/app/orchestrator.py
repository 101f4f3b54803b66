"""The running orchestrator, as commands ask it: where it is, how it is known, and what it answers."""

from __future__ import annotations

import json
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from math import inf
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import psutil
import typer

from techsapo_ops.adapters.address import Address, reachable_host
from techsapo_ops.adapters.http import Answer, Unreachable, Untrusted, fetch, send
from techsapo_ops.adapters.tls import Trust, read_authorities
from techsapo_ops.cli.environment import api_key
from techsapo_ops.cli.language import spoken_language
from techsapo_ops.cli.options import SpecChoice
from techsapo_ops.cli.output import Output
from techsapo_ops.cli.place import layout_beside
from techsapo_ops.cli.trusted_project import require_trust
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import joined, msg
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.models.base import is_loopback, seconds
from techsapo_ops.stack.address import page_url
from techsapo_ops.wallbounce.providers.failures import FailureKind, advice_on

CaFileOption = Annotated[
    Path | None,
    typer.Option(
        "--ca-file",
        metavar="FILE",
        help="CA of the https server, or the server's certificate (PEM); default: the CAs of the system "
        "and of the stack.",
    ),
]


@dataclass(frozen=True, slots=True)
class Peer:
    """A server that is asked; `headers` hold the API key, where there is one."""

    url: str
    trust: Trust
    headers: dict[str, str] = field(repr=False)


def peer(
    option: str, url: str, file: Path, ca_file: Path | None, *, here: frozenset[str] = frozenset()
) -> Peer:
    """The server at `url`, which the user gave by `option`; `file` is the spec whose stack's certificates are
    trusted, `here` the addresses of this host, as Trust has them.

    Raises OpsError for what is no such address, and for a `--ca-file` that can't be used or is not for https.
    """
    url = _address(option, url)
    key = api_key()
    headers = {"Authorization": f"Bearer {key.reveal()}"} if key is not None else {}
    if ca_file is not None and not url.lower().startswith("https:"):
        raise OpsError(
            msg("--ca-file is only for https addresses, and {url} is not one", url=url),
            msg("leave --ca-file out"),
            exit_code=2,
        )
    try:
        authorities = read_authorities(ca_file) if ca_file is not None else None
    except OpsError as error:
        raise OpsError(msg("--ca-file: {message}", message=error.message), error.hint, exit_code=2) from None
    own: Path | None = layout_beside(file, trusted=False).certs
    if own is not None and own.is_dir():
        require_trust(file)
    else:  # a server is asked from any folder, /tmp too
        own = None
        require_trust(None)
    return Peer(url, Trust(authorities, own, here), headers)


def _address(option: str, url: str) -> str:
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
        login = "@" in parts.netloc
    except ValueError:
        good = login = False
    if login:
        # Not shown: the part before the @ may be a password, or a host that is none.
        raise OpsError(
            msg("{option}: the address contains a user name or password", option=option),
            msg("remove the `user:password@` part; the API key is read from TECHSAPO_API_KEY"),
            exit_code=2,
        )
    if not good:
        raise OpsError(
            msg("{option}: {url} is not an address", option=option, url=repr(url)),
            msg("write e.g. http://127.0.0.1:4000"),
            exit_code=2,
        )
    return url.rstrip("/")


_DEFAULT_TIMEOUT = 120.0
_DEFAULT_PROMPT = 20_000
_PATIENCE = 5.0
"""Seconds that we wait longer than the server, so that its own time-out is what the user reads."""
_PING_TIMEOUT = 2.0
_PASSING = frozenset({502, 503, 504})
"""Statuses of answers after which a question is sent again."""
PAUSE = 1.0
"""Seconds until then: what ended is back, or nginx knows that it is not."""


@dataclass(frozen=True, slots=True)
class Orchestrator:
    """One that answers; `timeout` is how long to wait for it in seconds, `max_prompt` what it takes."""

    peer: Peer
    timeout: float
    max_prompt: int


class TierName(StrEnum):
    """The task types."""

    BASIC = "basic"
    PREMIUM = "premium"
    CRITICAL = "critical"
    CASCADE = "cascade"


class LanguageName(StrEnum):
    """The languages of answers."""

    JA = "ja"
    EN = "en"


LanguageOption = Annotated[
    LanguageName | None,
    typer.Option(
        "--language",
        help="Language of the answer.",
        show_default="the language that the question asks for, else the stack's",
    ),
]
TierOption = Annotated[TierName, typer.Option("--tier", help="A higher tier asks more models.")]
UrlOption = Annotated[
    str | None, typer.Option("--url", help="The orchestrator's address.", show_default="from the spec")
]


def asked_for(language: LanguageName | None) -> dict[str, str]:
    """What a question says of the language; nothing where it asks for none."""
    return {} if language is None else {"language": language.value}


def piped() -> str:
    """All of stdin; bytes that are not UTF-8 are replaced, as logs hold some."""
    return sys.stdin.buffer.read().decode("utf-8", errors="replace")


def orchestrator(url: str | None, place: SpecChoice, ca_file: Path | None) -> Orchestrator:
    """The running orchestrator: that at `url`, or the one of the spec."""
    if url is not None:
        asked = peer("--url", url, place.file, ca_file)
        return Orchestrator(asked, _DEFAULT_TIMEOUT + _PATIENCE, _DEFAULT_PROMPT)

    project = place.open()
    spec, here = project.spec, _here(project.spec)
    address = _running(candidates(spec), Trust(own=project.layout.certs, here=here))
    asked = peer(msg("the spec"), address, place.file, ca_file, here=here)
    limits = spec.app.limits
    return Orchestrator(asked, seconds(limits.request_timeout) + _PATIENCE, limits.max_prompt)


def _here(spec: Spec) -> frozenset[str]:
    """The addresses beyond loopback on which the stack listens and that really are this host's."""
    exposed = {reachable_host(host) for host in spec.exposed} - {"127.0.0.1", "::1"}
    if not exposed:
        return frozenset()

    own = {each.address for addresses in psutil.net_if_addrs().values() for each in addresses}
    return frozenset(exposed & own)


def candidates(spec: Spec) -> list[str]:
    """Where the orchestrator may answer: nginx, then the instances, backups last.

    Of several hosts nginx alone: the one of this host, if it is one of them, the site's address, and where no
    name has to fit a certificate, each host.
    """

    def url(host: str, port: int, scheme: str = "http") -> str:
        return Address(reachable_host(host), port).url(scheme=scheme)

    if spec.hosts:
        if spec.served_certificate is not None:
            return [url("127.0.0.1", spec.nginx.tls_listen, "https"), page_url(spec, "")]
        every = [url(host.address, spec.nginx.listen) for host in spec.hosts.values()]
        return list(dict.fromkeys([url("127.0.0.1", spec.nginx.listen), page_url(spec, ""), *every]))
    instances = sorted(spec.app.resolved_instances, key=lambda i: i.backup)
    urls = [url(spec.app.host, i.port) for i in instances]
    if spec.runs_nginx and spec.served_certificate is None:  # with one it sends plain HTTP elsewhere
        urls.insert(0, url(spec.nginx.host, spec.nginx.listen))
    elif spec.runs_nginx and not is_loopback(reachable_host(spec.app.host)):
        urls.insert(0, url(spec.nginx.host, spec.nginx.tls_listen, "https"))
    return urls


def _running(candidates: list[str], trust: Trust) -> str:
    """The first candidate that wants requests."""
    tried = []
    for url in candidates:
        try:
            answer = fetch(f"{url}/ping", timeout=_PING_TIMEOUT, trust=trust)
        except Unreachable as error:
            tried.append(msg("{url}: {reason}", url=url, reason=error.reason))
            continue
        if answer.ok and answer.text.strip() == "pong":
            return url
        reply = answer.text.strip()[:80]
        plain = not answer.ok and not reply.startswith(("<", "{"))  # `draining`, but no page and no document
        tried.append(
            msg("{url}: HTTP {status}", url=url, status=answer.status) + (f" {reply}" if plain else "")
        )
    raise OpsError(
        msg("the orchestrator is not running ({tried})", tried=joined(", ", tried)),
        msg("`techsapo up` starts the orchestrator"),
    )


def post(
    asked: Orchestrator,
    path: str,
    body: Mapping[str, Any],
    *,
    key: str = "",
    request_id: str = "",
    lost: Callable[[float | None], object] = lambda _: None,
) -> dict[str, Any]:
    """The JSON that the orchestrator answers. Raises OpsError with what it said instead.

    `key` is the Idempotency-Key of a question that an earlier command may have sent; default a new one. The
    orchestrator makes up the `request_id` where none is given. `lost` is told what an attempt cost that gave
    no answer, in USD; None where nobody can tell.

    Where it gives no answer, or one that may pass, it is asked once more by the same Idempotency-Key, so that
    it is answered, and paid, once; not where half of the time is gone.
    """
    url, late = f"{asked.peer.url}{path}", time.monotonic() + asked.timeout / 2
    headers = {
        "Content-Type": "application/json",
        "Accept-Language": spoken_language(),  # of what it is refused with
        "Idempotency-Key": key or str(uuid.uuid4()),
        **({"X-Request-ID": request_id} if request_id else {}),
        **asked.peer.headers,
    }

    for last in (False, True):
        try:
            answer = send(url, content(body), headers=headers, timeout=asked.timeout, trust=asked.peer.trust)
        except Unreachable as error:
            if last or isinstance(error, Untrusted) or time.monotonic() >= late:
                lost(None)
                raise silent(url, error) from None
            why = error.reason
        else:
            if last or answer.status not in _PASSING or time.monotonic() >= late:
                break
            lost(_cost(answer) or 0.0)  # where it is not known, the same question is asked again
            why = msg("HTTP {status}", status=answer.status)
        Output().say(msg("no answer from the orchestrator ({why}); asking once more", why=why))
        time.sleep(PAUSE)
    if not answer.ok:
        lost(_cost(answer))
        raise refused(answer.status, parsed(url, answer.status, answer.body))
    reply = parsed(url, answer.status, answer.body)
    if "request_id" not in reply:
        raise strange(url, answer.status)
    return reply


def _cost(answer: Answer) -> float | None:
    """USD that a question cost which has no answer, by the providers that failed; None where nobody can tell.

    What is refused with a status below 500, or since the app is busy (503), was asked of nobody.
    """
    try:
        costs = [float(p["cost_usd"]) for p in json.loads(answer.body)["providers"]]
    except (ValueError, TypeError, LookupError, RecursionError):
        return 0.0 if answer.status < 500 or answer.status == 503 else None
    return sum(c for c in costs if 0 <= c < inf)


def content(body: Mapping[str, Any]) -> bytes:
    """`body` as JSON; bytes of an argument that were not UTF-8 are replaced."""
    text = json.dumps(body, ensure_ascii=False)
    return text.encode(errors="surrogateescape").decode(errors="replace").encode()


def parsed(url: str, status: int, content: bytes | str) -> dict[str, Any]:
    """The object in an answer. Raises OpsError where there is none."""
    try:
        body = json.loads(content)
        if not isinstance(body, dict):
            raise TypeError
    except (ValueError, TypeError, RecursionError):
        raise strange(url, status) from None
    return body


def silent(url: str, error: Unreachable) -> OpsError:
    """That the orchestrator gave no answer."""
    if isinstance(error, Untrusted):
        return error
    return OpsError(
        msg("the orchestrator at {url} gave no answer: {reason}", url=url, reason=error.reason),
        msg("`techsapo up` starts the orchestrator; `techsapo ps` shows its addresses"),
    )


def strange(url: str, status: int) -> OpsError:
    """That what answered is not the orchestrator."""
    redirected = msg("redirects are not followed: use the address that the server redirects to")
    return OpsError(
        msg(
            "{url} answered HTTP {status}, but the answer is not from the orchestrator",
            url=url,
            status=status,
        ),
        redirected if 300 <= status < 400 else msg("check the address"),
    )


def refused(status: int, body: Mapping[str, Any]) -> OpsError:
    """What the orchestrator refused a request with."""
    detail, code = body.get("detail", ""), body.get("code", "")
    failed = [f"{p['name']}: {p['error']['message']}" for p in body.get("providers", ())]
    failures = f" ({'; '.join(failed)})" if failed else ""
    advised = [advice_on(p["error"].get("cause")) for p in body.get("providers", ())]
    lasting = [advice.do for advice in advised if advice is not None and advice.kind is FailureKind.REFUSED]
    hint = {
        **({"providers_failed": "; ".join(dict.fromkeys(lasting))} if lasting else {}),
        "audit_unavailable": msg(
            "the server cannot write to its disk (check `df -h` there); asking again costs nothing"
        ),
        "overloaded": msg("try again in a moment"),
        "key_busy": msg("ask fewer questions at once with this key, or try again in a moment"),
        "too_many_connections": msg("keep fewer connections open, or raise `app.limits.client_connections`"),
        "timeout": msg("try again, or raise app.limits.request_timeout"),
        "prompt_too_long": msg("shorten the question, or raise app.limits.max_prompt"),
        "body_too_large": msg("shorten the question or the log"),
        "over_request_budget": msg("raise budget.per_request_usd, or choose a lower tier"),
        "budget_exhausted": msg(
            "raise `budget`, or wait until the budget resets; `techsapo answers costs` shows the spending"
        ),
        "unreachable": msg("`techsapo ps` shows which app instances are running"),
        "budget_reserved": msg("try again in a moment"),
        "unconfirmed": msg("try again in a moment; `techsapo health` shows what is wrong"),
        "rate_limited": msg("try again in a moment, or use a key with a larger plan"),
        "unauthorized": msg("set TECHSAPO_API_KEY; `techsapo keys create NAME` makes a key"),
        "forbidden": msg("use a key with the scope that this needs: `techsapo keys create NAME --scope …`"),
    }.get(str(code), f"`techsapo logs --grep {body['request_id']}`" if body.get("request_id") else "")
    return OpsError(
        msg(
            "{detail}{failures} [{code}]",
            detail=detail or msg("HTTP {status}", status=status),
            failures=failures,
            code=code or status,
        ),
        hint,
    )
