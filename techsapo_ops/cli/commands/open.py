"""`techsapo open`."""

from __future__ import annotations

import getpass
import os
import socket
import subprocess
import sys
from typing import Annotated
from urllib.parse import urlsplit

import typer

from techsapo_ops.adapters.process import which
from techsapo_ops.cli.completes import completes
from techsapo_ops.cli.open_stack import open_stack
from techsapo_ops.cli.options import JsonOutput, SpecPlace
from techsapo_ops.messages import msg
from techsapo_ops.operations.addresses import FIRST, Page, find_page

_DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY")


def run(
    page: Annotated[
        str,
        typer.Argument(
            help="ask, status, dashboards, docs, grafana, prometheus or alertmanager.",
            autocompletion=completes("pages"),
        ),
    ] = FIRST,
    *,
    place: SpecPlace,
    out: JsonOutput,
) -> None:
    """Open one of the stack's pages in a browser; its address is printed.

    On a host without a display, such as a server, it prints the address and how to reach it from your own.

    Examples:

      techsapo open

      techsapo open grafana
    """
    found = find_page(open_stack(place.open()), page)
    if out.as_json:
        out.json({"page": found.name, "url": found.url})
        return
    out.data(found.url)
    opener = _opener()
    if opener is None:
        if tunnel := _tunnel(found):
            out.say(msg("on your own machine `{tunnel}`, then open it there", tunnel=tunnel))
        return
    # Its own words would mix with the prompt that follows; it lives on when this ends.
    subprocess.Popen(
        [opener, found.url], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip


def _opener() -> str | None:
    """What opens a browser here; none for root, whose browser would run with all of root's rights."""
    if os.geteuid() == 0:
        return None
    if sys.platform == "darwin":
        return which("open")
    return which("xdg-open") if any(os.environ.get(name) for name in _DISPLAYS) else None


def _tunnel(page: Page) -> str:
    """The line that makes a page on this host's loopback reachable elsewhere; empty for one that is."""
    parts = urlsplit(page.url)
    if parts.hostname not in {"localhost", "127.0.0.1", "::1"}:
        return ""
    server = os.environ.get("SSH_CONNECTION", "").split()
    host = server[2] if len(server) == 4 else socket.gethostname()
    user = os.environ.get("SUDO_USER") or getpass.getuser()
    return f"ssh -L {page.port}:127.0.0.1:{page.port} {user}@{host}"
