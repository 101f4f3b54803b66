"""ecosystem.config.js: the app's processes for people who run it under PM2."""

from __future__ import annotations

import shlex
from typing import Any

from techsapo_ops.services.registry import programs
from techsapo_ops.stack.desired import Program, RenderedFile
from techsapo_ops.stack.templates import Templates
from techsapo_ops.stack.topology import Topology

ECOSYSTEM = "ecosystem.config.js"
PM2_NAME = "techsapo"
"""Name of the app in PM2, for `pm2 logs techsapo` and `pm2 restart techsapo`."""


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
