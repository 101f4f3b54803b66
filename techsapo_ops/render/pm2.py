"""ecosystem.config.js: the app's processes for people who run it under PM2."""

from __future__ import annotations

from typing import Any

from techsapo_ops.render.programs import programs
from techsapo_ops.render.templates import Templates
from techsapo_ops.spec.desired import Program, RenderedFile
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.topology import Topology

ECOSYSTEM = "ecosystem.config.js"
PM2_NAME = "techsapo"
"""Name of every app in PM2, so that `pm2 logs techsapo` and `pm2 restart techsapo` mean all of them."""


def pm2_files(spec: Spec, topology: Topology, templates: Templates) -> tuple[RenderedFile, ...]:
    """ecosystem.config.js with one entry for each app instance; JSON is JavaScript, so any value fits."""
    apps = [
        _entry(topology, program)
        for program in programs(spec, topology)
        if (service := topology.find(program.service)) is not None and service.kind == "app"
    ]
    content = templates.render("pm2/ecosystem.config.js.j2", ecosystem={"apps": apps})
    return (RenderedFile(ECOSYSTEM, content),)


def _entry(topology: Topology, program: Program) -> dict[str, Any]:
    log = str(topology.layout.logs / "pm2" / f"{program.service}.log")
    return {
        "name": PM2_NAME,
        "script": program.argv[0],
        "args": list(program.argv[1:]),
        "interpreter": "none",
        "cwd": str(topology.layout.config),
        "env": {**program.environment, "TECHSAPO_SERVICE": program.service},
        "out_file": log,
        "error_file": log,
        "merge_logs": True,
        "autorestart": True,
        "exp_backoff_restart_delay": 100,
        "kill_timeout": program.stop_seconds * 1000,
    }
