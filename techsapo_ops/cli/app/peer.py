"""The orchestrator that a command asks: its address, how it is known, and the key that it is sent."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from techsapo_ops.adapters.tls import Trust, read_authorities
from techsapo_ops.cli.environment import api_key
from techsapo_ops.cli.state_directory import layout_beside
from techsapo_ops.cli.trusted_project import require_trust
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg

CaFileOption = Annotated[
    Path | None,
    typer.Option(
        "--ca-file",
        metavar="FILE",
        help="CA of an https server, or its certificate (PEM); default: the system's and the stack's own.",
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
            msg("--ca-file is for https, and {url} is not", url=url), msg("leave --ca-file out"), exit_code=2
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
        # Not shown: what stands before the @ may be a password, or a host that is none.
        raise OpsError(
            msg("{option}: the address holds a user name or password", option=option),
            msg("leave out what stands before the @; the API key is read from TECHSAPO_API_KEY"),
            exit_code=2,
        )
    if not good:
        raise OpsError(
            msg("{option}: {url} is not an address", option=option, url=repr(url)),
            msg("write e.g. http://127.0.0.1:4000"),
            exit_code=2,
        )
    return url.rstrip("/")
