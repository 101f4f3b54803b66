"""Judges the rule files of `monitoring.rules` before anything is rendered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from techsapo_ops.adapters.process import which
from techsapo_ops.cli.environment import runner

if TYPE_CHECKING:
    from techsapo_ops.cli.project import Project
    from techsapo_ops.stack.topology import Topology


def require_own_rules(project: Project, topology: Topology | None) -> None:
    """Raise SpecError where promtool refuses one of them; of this host, or in the images of `topology`."""
    if not project.spec.monitoring.rules or project.unusable is not None:  # who renders says the latter
        return
    from techsapo_ops.validators.check import refused_rules, tool_images

    found = which("promtool")
    binaries = {"promtool": found} if found is not None else {}
    images = tool_images(topology, runner()) if topology is not None else {}
    faults = refused_rules(project.own_rules, runner(), binaries, images)
    if (error := project.error(*faults)) is not None:
        raise error
