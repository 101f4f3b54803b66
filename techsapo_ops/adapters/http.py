"""One HTTP request whose time and size are bounded, and a login whose password stands in a file."""

from __future__ import annotations

import socket
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from techsapo_ops.adapters.questions import Deadline, causes, os_reason
from techsapo_ops.adapters.tls import SYSTEM, Trust, distrust, refuse_exposed_key
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import joined, msg

if TYPE_CHECKING:
    import ssl


BODY_LIMIT = 64 * 1024
ANSWER_LIMIT = 16 * 1024 * 1024
"""Bytes that are read of the answer to what was sent."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer; `body` holds at most the asked number of bytes, `truncated` says that more came."""

    url: str
    status: int
    body: bytes
    truncated: bool
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

    @property
    def text(self) -> str:
        """The body as text; bytes that are not UTF-8 are replaced."""
        return self.body.decode(errors="replace")


class Unreachable(OpsError):
    """The peer gave no HTTP answer; `reason` says why in a few words.

    `connected`: it may have read the request.
    """

    def __init__(self, url: str, reason: str, *, connected: bool = False) -> None:
        super().__init__(
            msg("{url}: {reason}", url=url, reason=reason),
            msg("`techsapo ps` shows whether the service runs"),
        )
        self.reason = reason
        self.connected = connected


class Untrusted(Unreachable):
    """The peer's certificate was not accepted: it got no byte of the request."""

    def __init__(self, url: str, reason: str, hint: str) -> None:
        super().__init__(url, reason)
        self.hint = hint


def preload() -> None:
    """Import what fetch needs, before a clock starts: httpx loads its transport only when first used."""
    import httpcore  # noqa: F401 - imported for its time alone
    import httpx  # noqa: F401 - likewise


def fetch(
    url: str,
    *,
    timeout: float,
    limit: int = BODY_LIMIT,
    params: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    trust: Trust = SYSTEM,
) -> Answer:
    """GET `url` with the query `params`; at most `limit` bytes of the answer, all within `timeout` seconds.

    Proxies of the environment are not used and redirects not followed: what is asked is this very
    address. An https peer is known by `trust`. Raises Unreachable when there is no answer, as Untrusted
    where it is for the certificate; any status is an answer. Raises OpsError, and connects to nobody, for a
    key in `headers` that would leave this host by plain http.
    """
    return _exchange("GET", url, {"params": params}, (timeout, limit), headers or {}, trust)


def send(
    url: str,
    content: bytes | None = None,
    *,
    timeout: float,
    method: str = "POST",
    headers: Mapping[str, str] | None = None,
    trust: Trust = SYSTEM,
) -> Answer:
    """Send `content` to `url`, and read at most ANSWER_LIMIT bytes of the answer; else as `fetch`."""
    return _exchange(method, url, {"content": content}, (timeout, ANSWER_LIMIT), headers or {}, trust)


def _exchange(
    method: str,
    url: str,
    sent: Mapping[str, Any],
    most: tuple[float, int],
    headers: Mapping[str, str],
    trust: Trust,
) -> Answer:
    """One request, with `sent` as httpx takes it; within `most` seconds and bytes."""
    import httpx  # 0.14 s: only for commands that talk to a service

    timeout, limit = most
    with Deadline(timeout) as deadline:
        connected = False

        def trace(event: str, info: Mapping[str, Any]) -> None:
            nonlocal connected
            if event == "connection.connect_tcp.complete":
                connected = True
                raw = info["return_value"].get_extra_info("socket")
                if isinstance(raw, socket.socket):
                    deadline.watch(raw)

        body = bytearray()
        status = 0
        try:
            context, name = way(url, headers, trust, deadline.left)
            with (
                httpx.Client(trust_env=False, verify=context, timeout=timeout) as client,
                client.stream(
                    method,
                    url,
                    headers={"Accept-Encoding": "identity", **headers},
                    extensions={"trace": trace, **name},
                    **sent,
                ) as response,
            ):
                status = response.status_code
                for chunk in response.iter_raw():
                    body += chunk
                    if len(body) > limit or deadline.expired:
                        break
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise_untrusted(url, error, trust)
            why = _reason(error, deadline, connected, status, len(body))
            raise Unreachable(url, why, connected=connected) from None
        if deadline.expired:
            raise Unreachable(url, _late(timeout, connected, status, len(body)), connected=connected)
        return Answer(url, status, bytes(body[:limit]), len(body) > limit, deadline.elapsed)


def way(
    url: str, headers: Mapping[str, str], trust: Trust, seconds: float
) -> tuple[ssl.SSLContext, dict[str, str]]:
    """How httpx gets to `url`: a TLS context, and the extension that names the server where the URL does not.

    Takes at most `seconds`. Raises httpx.InvalidURL, or OpsError for a key that would be exposed.
    """
    import ssl

    import httpx

    target = httpx.URL(url)
    host = target.raw_host.decode("ascii")
    if target.scheme != "https":
        refuse_exposed_key(url, host, headers, trust.here)
        # It trusts nobody. Plain HTTP needs no CA bundle, and loading one takes longer than the request.
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), {}
    name = trust.server_name(host, target.port or 443, seconds)
    return trust.context(), {} if name is None else {"sni_hostname": name}


def raise_untrusted(url: str, error: BaseException, trust: Trust) -> None:
    """Raise Untrusted where the cause of `error` is the certificate of `url`."""
    import ssl
    from urllib.parse import urlsplit

    cause = next((e for e in causes(error) if isinstance(e, ssl.SSLCertVerificationError)), None)
    if cause is None:
        return
    reason, hint = distrust(cause)
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    look = msg(
        "`openssl s_client -connect {host}:{port}` shows the certificate", host=host, port=parts.port or 443
    )
    raise Untrusted(
        url,
        msg("the server's certificate {reason}; nothing was sent", reason=reason),
        joined(
            "; ",
            (
                hint,
                look,
                *(
                    msg("a certificate on this host is not trusted: {why}", why=why)
                    for why in trust.ignored()
                ),
            ),
        ),
    ) from None


def _late(timeout: float, connected: bool, status: int, received: int) -> str:
    if not connected:
        return msg("no connection within {timeout:g} s", timeout=timeout)
    if status:
        return msg(
            "HTTP {status}, but only {received} bytes of the answer arrived within {timeout:g} s",
            status=status,
            received=received,
            timeout=timeout,
        )
    return msg("accepted the connection but did not answer within {timeout:g} s", timeout=timeout)


def _reason(error: Exception, deadline: Deadline, connected: bool, status: int, received: int) -> str:
    import httpx

    if deadline.expired or isinstance(error, httpx.TimeoutException):
        return _late(deadline.seconds, connected, status, received)
    text = str(error)
    if isinstance(error, httpx.RemoteProtocolError):
        if "disconnected" in text:
            return msg("closed the connection without an answer")
        if "peer closed" in text:
            return msg(
                "HTTP {status}, but the answer ended early, after {received} bytes",
                status=status,
                received=received,
            )
        return msg("answered with something that is not HTTP (does the port speak TLS?)")
    return os_reason(error) or text or type(error).__name__


@dataclass(frozen=True, slots=True)
class BasicLogin:
    """A user's name, and the file with the password, which is read anew for each request.

    A server that asks for none takes no notice of it. So where there is no such file yet, or this user may
    not read it, none is sent: only a server that asks for one answers 401, and that is told.
    """

    user: str
    password_file: Path

    def headers(self) -> dict[str, str]:
        """What a request carries; nothing where the password can't be read."""
        try:
            password = self.password_file.read_text(encoding="utf-8").strip()
        except OSError:
            return {}
        return basic_authorization(self.user, password)

    @property
    def hint(self) -> str:
        """What to do about a server that refuses it."""
        if self.password_file.exists():
            return msg(
                "the password is in {password_file}, which only the owner of that file and root can read: "
                "try sudo",
                password_file=self.password_file,
            )
        return msg(
            "{password_file} does not exist: `techsapo up` creates it", password_file=self.password_file
        )


def basic_authorization(user: str, password: str) -> dict[str, str]:
    """The header of RFC 7617."""
    return {"Authorization": "Basic " + b64encode(f"{user}:{password}".encode()).decode("ascii")}


def within_the_stack(url: str) -> Trust:
    """Lets a login be sent to the stack's own server at `url` by plain HTTP.

    Its address is one of this host, or a container's on the stack's own network.
    """
    return Trust(here=frozenset({urlsplit(url).hostname or ""}))
