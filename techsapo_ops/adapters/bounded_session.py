"""Requests by the library `requests`, which the exporter of spans wants, bounded in time and size."""

from __future__ import annotations

import os
import socket
from contextvars import ContextVar
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from typing_extensions import override
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError

from techsapo_ops.adapters.deadline import Deadline
from techsapo_ops.adapters.http import BODY_LIMIT
from techsapo_ops.messages import msg

_deadline: ContextVar[Deadline] = ContextVar("deadline")
"""Of the request under way."""


class BoundedSession(requests.Session):
    """Asks the address that it is given, whatever variables of the environment say; each request is over
    within its time-out, the reading of at most BODY_LIMIT bytes of its answer included.
    """

    def __init__(self) -> None:
        super().__init__()
        self.trust_env = False
        self.headers["Accept-Encoding"] = "identity"  # a few packed bytes could be gigabytes
        for scheme in ("http://", "https://"):
            self.mount(scheme, _Adapter())

    @override
    def request(self, method: Any, url: Any, *args: Any, **options: Any) -> requests.Response:
        """The answer, once `answered` took it. Raises RequestException."""
        with Deadline(max(float(options["timeout"]), 0.001)) as deadline:
            token = _deadline.set(deadline)
            try:
                options |= {"stream": True, "timeout": deadline.seconds}
                with super().request(method, url, *args, **options) as response:
                    body = response.raw.read(BODY_LIMIT + 1, decode_content=False)
            except (requests.RequestException, HTTPError, OSError) as error:
                if deadline.expired:
                    raise requests.Timeout(
                        msg("no answer within {seconds:.1f} s", seconds=deadline.seconds)
                    ) from None
                if isinstance(error, requests.RequestException):
                    raise
                raise requests.ConnectionError(str(error)) from None
            finally:
                _deadline.reset(token)
            if deadline.expired:
                raise requests.Timeout(
                    msg("no whole answer within {seconds:.1f} s", seconds=deadline.seconds)
                )
        if len(body) > BODY_LIMIT:
            raise requests.RequestException(
                msg("its answer is longer than {limit} KB", limit=BODY_LIMIT // 1024)
            )
        self.answered(response, body)
        return response

    def answered(self, response: requests.Response, body: bytes) -> None:
        """Look at an answer. Raises RequestException for one that is none."""


class _Adapter(HTTPAdapter):
    @override
    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _PlainPool, "https": _TlsPool}


class _Plain(HTTPConnection):
    @override
    def _new_conn(self) -> socket.socket:
        return _watched(super()._new_conn())

    @override
    def request(self, *args: Any, **options: Any) -> None:
        if self.sock is not None:  # left by the request before
            _watched(self.sock)
        super().request(*args, **options)


class _Tls(_Plain, HTTPSConnection):
    """HTTPSConnection is a HTTPConnection: what it has is found first."""


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _Plain


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _Tls


def _watched(connection: socket.socket) -> socket.socket:
    with socket.socket(fileno=os.dup(connection.fileno())) as plain:  # one of TLS makes no copy of itself
        _deadline.get().watch(plain)
    return connection
