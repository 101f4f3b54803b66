"""Docker's own API through the docker client, for what must not stand in the arguments of a program.

`docker system dial-stdio` connects its standard input and output with the daemon, also by ssh: the client
itself uses it so. https://docs.docker.com/reference/api/engine/

By HTTP/1.0, whose answer is not cut into chunks and ends with the connection.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from techsapo_ops.adapters.docker import Docker
from techsapo_ops.adapters.process import Command
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg

_VERSION = "v1.44"
"""Of Docker 25, the oldest one that we take; later ones know it, too."""


def get(docker: Docker, path: str, timeout: float) -> Any:
    """What the daemon answers to a question, such as `/nodes`: the value of its JSON, or None.

    Raises OpsError with the daemon's own words.
    """
    return _ask(docker, f"GET /{_VERSION}{path} HTTP/1.0\r\nHost: docker\r\n\r\n".encode(), timeout)


def post(docker: Docker, path: str, value: Mapping[str, Any], timeout: float) -> Any:
    """Send `value` to `path`, such as `/swarm/join`; what the daemon answers, or None.

    Raises OpsError with the daemon's own words, which never hold what was sent.
    """
    body = json.dumps(value).encode()
    head = (
        f"POST /{_VERSION}{path} HTTP/1.0\r\nHost: docker\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return _ask(docker, head.encode() + body, timeout)


def _ask(docker: Docker, request: bytes, timeout: float) -> Any:
    call = Command(docker.streaming("system", "dial-stdio").argv, stdin=request)
    done = docker.runner.run(call, timeout=timeout)
    status, _, rest = done.stdout.partition(b"\r\n")
    words = status.decode(errors="replace").split(" ", 2)
    if len(words) < 2 or not words[0].startswith("HTTP/"):
        raise OpsError(docker.words(done) if done.output else msg("Docker did not answer"))
    body = rest.partition(b"\r\n\r\n")[2]
    try:
        answer = json.loads(body) if body.strip() else None
    except ValueError:
        answer = None
    if not words[1].startswith("2"):
        said = answer.get("message") if isinstance(answer, dict) else None
        raise OpsError(str(said or status.decode(errors="replace")))
    return answer
