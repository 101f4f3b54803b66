"""Simulated requests at a steady rate: what users would notice, measured without any of them.

No model is asked and nothing is paid: the app knows these requests by a proof that only this stack can make
(stores/app_key.py), and counts them by themselves.
"""

from __future__ import annotations

import ipaddress
import json
import secrets
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import count
from types import TracebackType
from typing import TYPE_CHECKING, Any

import psutil

from techsapo_ops.adapters.address import Address, reachable_host
from techsapo_ops.adapters.files import read_text
from techsapo_ops.adapters.http import Unreachable, fetch, preload, way
from techsapo_ops.adapters.questions import os_reason
from techsapo_ops.adapters.tls import SYSTEM, Trust
from techsapo_ops.drills.outcome import Attempt, Outcome, Request
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.secret import Secret
from techsapo_ops.stack.stack import Stack
from techsapo_ops.stores.app_key import DRILL_HEADER, DrillSeal

if TYPE_CHECKING:
    import httpx

PATH = "/api/v1/drill"
AGAIN = frozenset({0, 502, 503, 504})
"""Statuses after which a request is sent again, as clients do; 0 is no answer."""
_AT_ONCE = 256
"""Requests that may be under way; more wait for their turn."""


def fresh_run() -> str:
    """The name of a new run."""
    return secrets.token_hex(4)


@dataclass(frozen=True, slots=True)
class Load:
    """Keyed POSTs to `url` (nginx, or the app where none runs), `rate` a second for at most `seconds`.

    `key` is the app's: it proves that they are a drill's. A POST takes the app `work` seconds. One that gets
    no answer within `timeout` seconds, or 502, 503 or 504, is sent once more after `again_after` seconds.
    """

    url: str
    key: Secret = field(repr=False)
    rate: float = 10.0
    seconds: float = 60.0
    again_after: float = 0.5
    work: float = 0.3
    timeout: float = 10.0
    trust: Trust = SYSTEM
    run: str = field(default_factory=fresh_run)

    @property
    def prefix(self) -> str:
        """How the id of each of its requests begins."""
        return f"drill-{self.run}-"


def front(spec: Spec, machine: str = "") -> str:
    """The URL at which this host reaches nginx, or the app where none runs.

    Of several hosts that of the address they share; without one, that of `machine`, or else of the first.
    """
    if not spec.runs_nginx:
        return Address(reachable_host(spec.app.host), spec.app.resolved_instances[0].port).url()
    tls = spec.served_certificate is not None
    port = spec.nginx.tls_listen if tls else spec.nginx.listen
    return Address(_host(spec, machine), port).url(scheme="https" if tls else "http")


def _host(spec: Spec, machine: str) -> str:
    if spec.floating_address is not None:
        return str(ipaddress.ip_interface(spec.floating_address).ip)
    host = spec.hosts.get(machine) or next(iter(spec.hosts.values()), None)
    return host.address if host is not None else reachable_host(spec.nginx.host)


def _fronts(spec: Spec) -> frozenset[str]:
    """The addresses of several hosts, and the one that moves between them."""
    addresses = [host.address for host in spec.hosts.values()]
    if spec.floating_address is not None:
        addresses.append(_host(spec, ""))
    return frozenset(addresses)


def load_of(stack: Stack, machine: str = "", **changed: Any) -> Load:
    """Traffic to the front of `stack`, as Load has it but for what is `changed`; `machine` as `front` has it.

    Raises OpsError where this user can't read the app's key, which proves that it is a drill.
    """
    path = stack.layout.app_key
    if not path.exists():
        raise OpsError(
            msg("there is no {path}", path=path), msg("`techsapo up` creates this file and starts the stack")
        )
    key = Secret(read_text(path, what=msg("key of the app")).strip())
    own = {each.address for addresses in psutil.net_if_addrs().values() for each in addresses}
    here = frozenset({reachable_host(host) for host in stack.spec.exposed} & own)
    here |= _fronts(stack.spec)  # where the very certificate is shown that the stack deployed
    trust = Trust(own=stack.layout.certs, here=here)
    return replace(Load(front(stack.spec, machine).rstrip("/"), key, trust=trust), **changed)


class Traffic:
    """The traffic of `load` for the length of a `with` block. It ends by itself after `load.seconds`."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._seal = DrillSeal(load.key.reveal().encode())
        self._requests: list[Request] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="drill traffic", daemon=True)
        self._error: BaseException | None = None
        self._began = 0.0
        self._ended: float | None = None

    def __enter__(self) -> Traffic:
        """Begin. Raises OpsError where the first request says that it can't be done."""
        preload()
        require_answer(self._load)
        self._context, self._way = way(self._load.url, {}, self._load.trust, self._load.timeout)
        self._began = time.monotonic()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Send nothing more; what is under way has the time of two answers."""
        self._stop.set()
        self._thread.join(2 * self._load.timeout + self._load.again_after)
        if self._ended is None:
            self._ended = self.now()

    def now(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self._began

    def outcome(self) -> Outcome:
        """What became of it: so far, or in the end. Raises OpsError where the traffic itself failed."""
        if self._error is not None:
            raise OpsError(
                msg("the simulated traffic failed: {error}", error=repr(self._error)),
                msg("please report this error"),
            )
        requests = tuple(replace(r, attempts=list(r.attempts)) for r in list(self._requests))
        return Outcome(self._ended if self._ended is not None else self.now(), requests)

    def _run(self) -> None:
        import httpx

        load, limits = self._load, httpx.Limits(max_connections=None, max_keepalive_connections=32)
        try:
            with (
                httpx.Client(
                    trust_env=False, verify=self._context, timeout=load.timeout, limits=limits
                ) as client,
                ThreadPoolExecutor(_AT_ONCE, "drill request") as pool,
            ):
                for number in count():
                    if self._stop.wait(max(number / load.rate - self.now(), 0)) or self.now() >= load.seconds:
                        break
                    request = Request(f"{load.prefix}{number:06}", self.now())
                    self._requests.append(request)
                    pool.submit(self._answered, client, request)
        except BaseException as error:  # noqa: BLE001 - raised by `outcome`, in the caller's thread
            self._error = error
        finally:
            self._ended = self.now()

    def _answered(self, client: httpx.Client, request: Request) -> None:
        request.attempts.append(self._try(client, request.id))
        if request.attempts[0].status in AGAIN:
            time.sleep(self._load.again_after)
            request.attempts.append(self._try(client, request.id))
        request.done = True

    def _try(self, client: httpx.Client, name: str) -> Attempt:
        import httpx

        began, body = self.now(), json.dumps({"seconds": self._load.work}).encode()
        headers = {
            **_headers(self._seal, "POST", PATH, name, body),
            "Idempotency-Key": name,
            "Content-Type": "application/json",
        }
        try:
            answer = client.post(self._load.url + PATH, content=body, headers=headers, extensions=self._way)
        except (httpx.HTTPError, OSError) as error:
            return Attempt(began, self.now(), 0, _reason(error, self._load.timeout))
        status = answer.status_code
        if status != 200:
            return Attempt(began, self.now(), status, msg("HTTP {status}", status=status))
        try:
            said = answer.json()
            return Attempt(began, self.now(), 200, "", str(said["instance"]), str(said["execution"]))
        except (ValueError, LookupError, TypeError):
            return Attempt(began, self.now(), 200, msg("an answer from a program other than the app"))


def require_answer(load: Load) -> None:
    """Ask once, to say beforehand why such traffic would come to nothing. Raises OpsError."""
    seal, name = DrillSeal(load.key.reveal().encode()), f"{load.prefix}first"
    url = load.url + PATH
    try:
        answer = fetch(url, timeout=load.timeout, headers=_headers(seal, "GET", PATH, name), trust=load.trust)
    except Unreachable as error:
        raise OpsError(
            msg("can't send simulated traffic: {message}", message=error.message), error.hint
        ) from None
    if answer.status == 200:
        with suppress(ValueError, TypeError, LookupError):
            if json.loads(answer.text)["request_id"] == name:
                return
        raise OpsError(
            msg("a program other than the app answers at {url}", url=url),
            msg("check where nginx sends requests"),
        )
    hints = {
        401: msg("the running app's key differs from `.techsapo/keys/app-key`: run `techsapo restart app`"),
        503: msg("`techsapo maintenance status` and `techsapo health` show why"),
        429: msg("this host sends more requests than `nginx.client_rate` allows"),
    }
    raise OpsError(
        msg("can't send simulated traffic: {url} answers HTTP {status}", url=url, status=answer.status),
        hints.get(answer.status, msg("`techsapo health` shows what is wrong")),
    )


def _headers(seal: DrillSeal, method: str, path: str, name: str, body: bytes = b"") -> dict[str, str]:
    return {"X-Request-ID": name, DRILL_HEADER: seal.proof(method, path, name, body)}


def _reason(error: Exception, timeout: float) -> str:
    import httpx

    if isinstance(error, httpx.ConnectTimeout):
        return msg("no connection within {timeout:g} s", timeout=timeout)
    if isinstance(error, httpx.TimeoutException):
        return msg("no answer within {timeout:g} s", timeout=timeout)
    if isinstance(error, httpx.RemoteProtocolError):
        return msg("the connection was lost")
    return os_reason(error) or str(error) or type(error).__name__
