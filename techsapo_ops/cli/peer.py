"""The orchestrator that a command asks: its address, how it is known, and the key that it is sent."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from techsapo_ops.adapters.tls_trust import Trust, read_authorities
from techsapo_ops.cli.bundles import Bundle
from techsapo_ops.cli.environment import api_key
from techsapo_ops.cli.output import Output
from techsapo_ops.cli.state_directory import layout_beside
from techsapo_ops.cli.trusted_project import require_trust
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg

_ca_file = Annotated[
    Path | None,
    typer.Option(
        "--ca-file",
        metavar="FILE",
        help="CA of an https server, or its certificate (PEM); default: the system's and the stack's own.",
    ),
]
_insecure = Annotated[
    bool,
    typer.Option(
        "--insecure-skip-tls-verify",
        help="Send everything, your API key too, to whoever answers by https. Warns each time.",
    ),
]


@dataclass(frozen=True, slots=True)
class TlsChoice:
    """How the user wants a server to be known: by what is in `ca_file`, or not at all."""

    ca_file: Path | None = None
    insecure: bool = False


TlsOptions = Annotated[TlsChoice, Bundle({"ca_file": (_ca_file, None), "insecure": (_insecure, False)})]
"""--ca-file and --insecure-skip-tls-verify."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A server that is asked; `headers` hold the API key, where there is one."""

    url: str
    trust: Trust
    headers: dict[str, str] = field(repr=False)


def peer(option: str, url: str, file: Path, tls: TlsChoice, *, here: frozenset[str] = frozenset()) -> Peer:
    """The server at `url`, which the user gave by `option`; `file` is the spec whose stack's certificates are
    trusted, `here` the addresses of this host, as Trust has them.

    Warns where nobody checks the server. Raises OpsError for what is no such address, for options that don't
    go with it, and for a `--ca-file` that can't be used.
    """
    url, ca_file, insecure = _address(option, url), tls.ca_file, tls.insecure
    key = api_key()
    headers = {"Authorization": f"Bearer {key.reveal()}"} if key is not None else {}
    given = "--ca-file" if ca_file is not None else "--insecure-skip-tls-verify" if insecure else ""
    if given and not url.lower().startswith("https:"):
        raise OpsError(
            msg("{given} is for https, and {url} is not", given=given, url=url),
            msg("leave {given} out", given=given),
            exit_code=2,
        )
    if ca_file is not None and insecure:
        raise OpsError(
            msg("--ca-file and --insecure-skip-tls-verify exclude each other"),
            msg("keep --ca-file: with it the server is known"),
            exit_code=2,
        )
    if insecure:
        lost = msg("; your API key goes to whoever does") if headers else ""
        Output().warn(
            msg("--insecure-skip-tls-verify: nobody checks who answers at {url}{lost}", url=url, lost=lost)
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
    return Peer(url, Trust(authorities, own, here, insecure), headers)


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
