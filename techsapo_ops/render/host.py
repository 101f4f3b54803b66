"""What the host's own programs are given: logrotate, rsyslog, systemd and PM2."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

from techsapo_ops.services.registry import programs
from techsapo_ops.services.scheduler.kind import job_folders
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.models.base import size_bytes
from techsapo_ops.stack.desired import Program, RenderedFile
from techsapo_ops.stack.templates import Templates, printable
from techsapo_ops.stack.topology import Topology

LOGROTATE = "logrotate/techsapo"
RSYSLOG = "rsyslog/techsapo.conf"
RETRY = 10
"""Seconds until a server that is away is tried again, for the first time."""
QUEUE = 256 * 1024**2
"""Bytes of disk on which lines wait while the server is away; further ones are lost."""
_HIDDEN = (("home",), ("root",))
_UNWATCHED = re.compile(r"[^\w./@:%+,=~ -]")
_ID = re.compile(r"\W", re.ASCII)
UNIT = "systemd/techsapo.service"
ECOSYSTEM = "ecosystem.config.js"
PM2_NAME = "techsapo"
"""Name of the app in PM2, for `pm2 logs techsapo` and `pm2 restart techsapo`."""
_GLOB = re.compile(r"[*?\[\]\\]")
_ESCAPED = {"\\": "\\\\", '"': '\\"', "%": "%%", "$": "$$"}
"""In an argument of a unit of systemd."""


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
    # Between double quotes popt takes a backslash away before a quote only; glob takes away the others.
    literal = _GLOB.sub(lambda match: f"\\{match[0]}", printable(str(folder))).replace('"', '\\"')
    # A brace begins or ends a block even between quotes; `?` stands for any one character.
    literal = literal.replace("{", "?").replace("}", "?")
    return f'"{literal}/{pattern}"'


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
    return _UNWATCHED.sub("?", path)


def quoted(text: str) -> str:
    """`text` as a constant of rsyslog's configuration."""
    for odd in ("\\", '"', "$"):
        text = text.replace(odd, f"\\{odd}")
    return f'"{text}"'


def systemd_files(topology: Topology, templates: Templates) -> tuple[RenderedFile, ...]:
    """systemd/techsapo.service: a system unit where root made it, else one for `systemctl --user`.

    It runs `techsapo up` and `techsapo down`, which start and stop services in order; the supervisor that
    `up` leaves behind lives in the unit's control group. It names no environment: `up` stays in the one that
    was applied.
    """
    layout = topology.layout

    def command(name: str, *options: str) -> str:
        words = [topology.host.python, "-m", "techsapo_ops", name, "--file", str(layout.spec_file)]
        return " ".join(systemd_quote(word) for word in (*words, *options))

    content = templates.render(
        "systemd/techsapo.service.j2",
        project=topology.spec.project,
        command=command,
        root=topology.host.root,
        writable=writable_paths(topology.spec, layout.spec_file.parent),
    )
    return (RenderedFile(UNIT, content),)


def systemd_quote(word: str) -> str:
    """`word` as one argument of Exec…= (systemd.service(5), "Command lines")."""
    return '"' + "".join(_ESCAPED.get(character, character) for character in printable(word)) + '"'


def systemd_word(value: str) -> str:
    """One word of a setting; unlike in Exec…= a dollar means nothing there."""
    return systemd_quote(value).replace("$$", "$")


def writable_paths(spec: Spec, directory: Path) -> str:
    """ReadWritePaths=: the project, scratch space, the backups, and where certificates are installed."""
    scratch = ("/tmp", "/var/tmp")  # noqa: S108 - named in a unit, not used
    folders = (directory, *scratch, *(path for path, _ in job_folders(spec, directory)))
    return " ".join(systemd_word(f"-{folder}") for folder in folders)


def pm2_files(topology: Topology, templates: Templates) -> tuple[RenderedFile, ...]:
    """ecosystem.config.js with one app of as many instances as the spec has; JSON is JavaScript.

    One entry per instance would be simpler, but then a second `pm2 start ecosystem.config.js` does not
    restart entries that share a name, it adds them again, and entries with other names would not be
    meant by `pm2 restart techsapo`.
    """
    ours = {service.name for service in topology.services if service.facts.runs_package}
    instances = [p for p in programs(topology) if p.service in ours]
    content = templates.render("pm2/ecosystem.config.js.j2", ecosystem={"apps": [_app(topology, instances)]})
    return (RenderedFile(ECOSYSTEM, content),)


def _app(topology: Topology, instances: list[Program]) -> dict[str, Any]:
    first = instances[0]
    argv = first.argv if len(instances) == 1 else ("/bin/sh", "-c", instance_script(instances))
    log = str(topology.layout.logs / "pm2" / f"{PM2_NAME}.log")
    return {
        "name": PM2_NAME,
        "script": argv[0],
        "args": list(argv[1:]),
        "interpreter": "none",
        "exec_mode": "fork",
        "instances": len(instances),
        "cwd": str(topology.layout.config),
        "env": dict(first.environment),
        "out_file": log,
        "error_file": log,
        "merge_logs": True,
        "autorestart": True,
        "exp_backoff_restart_delay": 100,
        "kill_timeout": first.stop_seconds * 1000,
    }


def instance_script(instances: list[Program]) -> str:
    """A shell script that becomes the instance whose number, from 0, PM2 gives it."""
    cases = [f"{n}) exec {shlex.join(program.argv)} ;;" for n, program in enumerate(instances)]
    other = '*) echo "no instance $NODE_APP_INSTANCE in techsapo.yaml" >&2; exit 1 ;;'
    return "\n".join(['case "$NODE_APP_INSTANCE" in', *cases, other, "esac"])
