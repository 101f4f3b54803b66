"""logrotate's configuration: the native engine's logs and PM2's."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.spec.models.base import size_bytes
from techsapo_ops.stack.desired import RenderedFile
from techsapo_ops.stack.templates import Templates
from techsapo_ops.stack.topology import Topology

LOGROTATE = "logrotate/techsapo"

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_GLOB = re.compile(r"[*?\[\]\\]")


def logrotate_files(topology: Topology, templates: Templates) -> tuple[RenderedFile, ...]:
    """logrotate/techsapo with the size, number and compression of `logs`."""
    logs = topology.spec.logs
    content = templates.render(
        "logrotate/techsapo.j2",
        logs=topology.layout.logs,
        pidfile=topology.layout.run / "supervisord.pid",
        size=size_bytes(logs.max_size),
        keep=logs.keep,
        compress=logs.compress,
        files=log_files,
        sh=lambda path: shlex.quote(str(path)),
    )
    return (RenderedFile(LOGROTATE, content),)


def log_files(folder: Path, pattern: str) -> str:
    """`folder/pattern` as logrotate's file list takes it: unquoted by popt's rules, then globbed.

    Raises OpsError for control characters.
    """
    text = str(folder)
    if _CONTROL.search(text):
        raise OpsError(msg("{text} holds a control character", text=repr(text)), msg("rename the folder"))
    # Between double quotes popt takes a backslash away before a quote only; glob takes away the others.
    literal = _GLOB.sub(lambda match: f"\\{match[0]}", text).replace('"', '\\"')
    # A brace begins or ends a block even between quotes; `?` stands for any one character.
    literal = literal.replace("{", "?").replace("}", "?")
    return f'"{literal}/{pattern}"'
