"""Steady simulated traffic with ids: what users would notice, measured without any of them.

No model is asked and nothing is paid: the app knows these requests by a proof that only this stack can make
(stores/drill_seal.py), and counts them by themselves.
"""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING

from techsapo_ops.adapters.http import Unreachable, fetch, preload, way
from techsapo_ops.adapters.reasons import causes, os_reason
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.operations.drills.load import Attempt, Held, Load, Outcome, Request
from techsapo_ops.stores.drill_seal import HEADER, DrillSeal

if TYPE_CHECKING:
    import httpx

PATH = "/api/v1/drill"
STREAM_PATH = "/api/v1/drill/stream"
AGAIN = frozenset({502, 503, 504})
"""Statuses after which a request is sent again, as clients do."""
STREAM_AGAIN_AFTER = 0.25
"""Seconds before a stream is opened again."""
SILENT = 5.0
"""Seconds without an event after which a stream counts as broken; the app sends four a second."""
_END_SECONDS = 10.0
"""The longest that the end of the traffic is waited for."""


class Traffic:
    """The traffic of `load`, for the length of a `with` block, in a thread of its own.

    It ends with the block, or by itself after `load.seconds` or `load.most` requests; Ctrl-C ends the block.
    """

    def __init__(self, load: Load, clock: Callable[[], float] = time.monotonic) -> None:
        self._load = load
        self._clock = clock
        self._seal = DrillSeal(load.key.reveal().encode())
        self._requests: list[Request] = []
        self._streams = [Held() for _ in range(load.streams)]
        self._thread = threading.Thread(target=self._run, name="drill traffic", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._up = threading.Event()
        self._error: BaseException | None = None
        self._began = 0.0
        self._ended: float | None = None

    def __enter__(self) -> Traffic:
        """Begin. Raises OpsError where the first request says that it can't be done."""
        preload()
        look(self._load)
        self._context, self._way = way(self._load.url, {}, self._load.trust, self._load.timeout)
        self._began = self._clock()
        self._thread.start()
        self._up.wait(_END_SECONDS)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End, and wait for what is under way, some seconds at most."""
        self.end()

    def end(self) -> None:
        """Send nothing more; what is under way has the time of one answer."""
        if self._loop is not None and self._stop is not None:
            with suppress(RuntimeError):  # it has ended by itself
                self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(self._load.timeout + self._load.again_after + _END_SECONDS)
        if self._ended is None:
            self._ended = self.now()

    @property
    def running(self) -> bool:
        """Whether it still sends."""
        return self._thread.is_alive()

    def now(self) -> float:
        """Seconds since it began."""
        return self._clock() - self._began

    def outcome(self) -> Outcome:
        """What became of it: so far, or in the end. Raises OpsError where the traffic itself failed."""
        if self._error is not None:
            raise OpsError(
                msg("the simulated traffic failed: {error}", error=repr(self._error)), msg("please report it")
            )
        # The thread goes on: lists are copied in one go each.
        requests = tuple(replace(r, attempts=list(r.attempts)) for r in list(self._requests))
        streams = tuple(
            replace(h, events=list(h.events), reasons=Counter(dict(h.reasons))) for h in self._streams
        )
        took = self._ended if self._ended is not None else self.now()
        return Outcome(self._load.run, took, requests, streams)

    def _run(self) -> None:
        try:
            asyncio.run(self._send_all())
        except BaseException as error:  # noqa: BLE001 - told by `outcome`, in the caller's thread
            self._error = error
        finally:
            self._ended = self.now()
            self._up.set()

    async def _send_all(self) -> None:
        import httpx

        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self._up.set()
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=32)
        async with httpx.AsyncClient(
            trust_env=False, verify=self._context, timeout=self._load.timeout, limits=limits
        ) as client:
            held = [asyncio.create_task(self._hold(client, each)) for each in self._streams]
            sending = await self._ticks(client)
            if sending:
                await asyncio.wait(sending, timeout=self._load.timeout + self._load.again_after)
            for task in (*held, *sending):
                task.cancel()
            await asyncio.gather(*held, *sending, return_exceptions=True)

    async def _ticks(self, client: httpx.AsyncClient) -> set[asyncio.Task[None]]:
        """Begin a request at each tick, whether or not those before it are answered, until it is over."""
        load, sending = self._load, set[asyncio.Task[None]]()
        assert self._stop is not None  # noqa: S101 - made before this is called
        for number in range(load.most):
            left = number / load.rate - self.now()
            if left > 0:
                with suppress(TimeoutError):
                    async with asyncio.timeout(left):
                        await self._stop.wait()
            if self._stop.is_set() or self.now() >= load.seconds:
                break
            kind = load.kinds[number % len(load.kinds)]
            request = Request(f"{load.prefix}{number:06}", kind, self.now())
            self._requests.append(request)
            task = asyncio.create_task(self._answered(client, request))
            sending.add(task)
            task.add_done_callback(sending.discard)
        return sending

    async def _answered(self, client: httpx.AsyncClient, request: Request) -> None:
        for left in range(self._load.retries, -1, -1):
            attempt = await self._try(client, request)
            request.attempts.append(attempt)
            if attempt.ok or not left or (attempt.answered and attempt.status not in AGAIN):
                break
            await asyncio.sleep(self._load.again_after)
        request.done = True

    async def _try(self, client: httpx.AsyncClient, request: Request) -> Attempt:
        import httpx

        began, method = self.now(), request.kind.upper()
        body = b""
        if request.kind == "post":
            body = json.dumps({"seconds": self._load.work}).encode()
        headers = _headers(self._seal, method, PATH, request.id, body)
        if body:
            headers |= {"Idempotency-Key": request.id, "Content-Type": "application/json"}
        try:
            async with asyncio.timeout(self._load.timeout):
                answer = await client.request(
                    method, self._load.url + PATH, headers=headers, extensions=self._way, content=body or None
                )
        except TimeoutError:
            return Attempt(
                began, self.now(), 0, msg("no answer within {timeout:g} s", timeout=self._load.timeout)
            )
        except (httpx.HTTPError, OSError) as error:
            return Attempt(began, self.now(), 0, _reason(error, self._load.timeout))
        if answer.status_code != 200:
            return Attempt(
                began,
                self.now(),
                answer.status_code,
                msg("HTTP {status_code}", status_code=answer.status_code),
            )
        try:
            said = answer.json()
            instance, execution = str(said["instance"]), str(said.get("execution", ""))
        except (ValueError, LookupError, TypeError, AttributeError):
            return Attempt(began, self.now(), 200, msg("an answer that is not the app's"))
        return Attempt(began, self.now(), 200, "", instance, execution)

    async def _hold(self, client: httpx.AsyncClient, held: Held) -> None:
        """Keep a stream open until cancelled; one that breaks off is opened again."""
        import httpx

        number = 0
        while True:
            name = f"{self._load.prefix}stream-{self._streams.index(held)}-{number:04}"
            number += 1
            ended = False
            try:
                async with client.stream(
                    "GET",
                    self._load.url + STREAM_PATH,
                    headers={**_headers(self._seal, "GET", STREAM_PATH, name), "Accept": "text/event-stream"},
                    extensions=self._way,
                    timeout=httpx.Timeout(self._load.timeout, read=SILENT),
                ) as response:
                    if response.status_code != 200:
                        held.reasons[f"HTTP {response.status_code}"] += 1
                    else:
                        async for line in response.aiter_lines():
                            if line.startswith("data:"):
                                held.events.append(self.now())
                            ended |= line == "event: end"
                        if not ended:
                            held.reasons["ended without a word"] += 1
            except (httpx.HTTPError, OSError) as error:
                held.reasons[_reason(error, SILENT)] += 1
            if ended:
                held.ended += 1
            else:
                held.broken += 1
            await asyncio.sleep(STREAM_AGAIN_AFTER)


def look(load: Load) -> None:
    """Ask once, to say beforehand why such traffic would come to nothing. Raises OpsError."""
    seal, name = DrillSeal(load.key.reveal().encode()), f"{load.prefix}first"
    url = load.url + PATH
    try:
        answer = fetch(url, timeout=load.timeout, headers=_headers(seal, "GET", PATH, name), trust=load.trust)
    except Unreachable as error:
        raise OpsError(msg("no simulated traffic: {message}", message=error.message), error.hint) from None
    if answer.status == 200:
        with suppress(ValueError, TypeError, LookupError):
            if json.loads(answer.text)["request_id"] == name:
                return
        raise OpsError(
            msg("{url} is answered by something else than the app", url=url),
            msg("check what nginx passes on"),
        )
    hints = {
        404: msg("the app that runs is of an older version: `techsapo up`"),
        401: msg("the app that runs has another key than `.techsapo/keys/app-key`: `techsapo restart app`"),
        503: msg("`techsapo maintenance status` and `techsapo health` say why"),
        429: msg("this host sends too much already: nginx.client_rate"),
    }
    raise OpsError(
        msg("no simulated traffic: {url} answers HTTP {status}", url=url, status=answer.status),
        hints.get(answer.status, msg("`techsapo health` says what is wrong")),
    )


def _headers(seal: DrillSeal, method: str, path: str, name: str, body: bytes = b"") -> dict[str, str]:
    return {"X-Request-ID": name, HEADER: seal.proof(method, path, name, body)}


def _reason(error: Exception, timeout: float) -> str:
    import ssl

    import httpx

    if isinstance(error, httpx.ConnectTimeout):
        return msg("no connection within {timeout:g} s", timeout=timeout)
    if isinstance(error, httpx.TimeoutException):
        return msg("no answer within {timeout:g} s", timeout=timeout)
    if isinstance(error, httpx.RemoteProtocolError):
        return msg("the connection broke off")
    for cause in causes(error):  # asyncio has words of its own, with the address in them
        if isinstance(cause, OSError) and cause.errno and not isinstance(cause, ssl.SSLError):
            return os.strerror(cause.errno).lower()
    return os_reason(error) or str(error) or type(error).__name__
