"""rsyslog's configuration: the stack's log lines for a syslog server."""

from __future__ import annotations

import re

from techsapo_ops.stack.desired import RenderedFile
from techsapo_ops.stack.templates import Templates
from techsapo_ops.stack.topology import Topology

RSYSLOG = "rsyslog/techsapo.conf"
RETRY = 10
"""Seconds until a server that is away is tried again, for the first time."""
QUEUE = 256 * 1024**2
"""Bytes of disk on which lines wait while the server is away; further ones are lost."""
_HIDDEN = (("home",), ("root",))
_PLAIN = re.compile(r"[^\w./@:%+,=~ -]")
_ID = re.compile(r"\W", re.ASCII)


def rsyslog_files(topology: Topology, templates: Templates, *, below: str = "") -> tuple[RenderedFile, ...]:
    """rsyslog/techsapo.conf, for the rsyslog of the host; none where the spec names no server.

    `below` is the folder of the configuration that it is rendered into.
    """
    server = topology.spec.logs.syslog
    if server is None:
        return ()
    target = server.removeprefix("udp://")
    host, _, port = target.rpartition(":")
    layout = topology.layout
    content = templates.render(
        "rsyslog/techsapo.conf.j2",
        target=target,
        host=host.strip("[]"),
        port=port,
        protocol="tcp" if target == server else "udp",
        queue=QUEUE,
        retry=RETRY,
        project=topology.spec.project,
        id=_ID.sub("_", topology.spec.project),
        containers=topology.places.isolated,
        hidden=layout.config.parts[1:2] in _HIDDEN,
        here=layout.config / below / RSYSLOG,
        files=[(s.name, watched(str(layout.logs / f"{s.name}.log"))) for s in topology.services],
        q=quoted,
    )
    return (RenderedFile(RSYSLOG, content),)


def watched(path: str) -> str:
    """`path` as imfile takes it: a pattern, in which each character with a meaning stands for any one."""
    return _PLAIN.sub("?", path)


def quoted(text: str) -> str:
    """`text` as a constant of rsyslog's configuration."""
    for odd in ("\\", '"', "$"):
        text = text.replace(odd, f"\\{odd}")
    return f'"{text}"'
