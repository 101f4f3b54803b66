"""What doctor says of an operator's own templates."""

from __future__ import annotations

from collections.abc import Iterator

from techsapo_ops.messages import msg
from techsapo_ops.stack.diagnosis import HostFinding, Level
from techsapo_ops.stack.template_folders import Overrides

_NAME = "your templates"


def look_at_templates(overrides: Overrides) -> Iterator[HostFinding]:
    """Those that can't be used, or are not; nothing without any."""
    obstacle, warnings = overrides.obstacle, tuple(overrides.warnings())
    if obstacle is not None:
        yield HostFinding("templates", _NAME, Level.MISSING, obstacle.message, obstacle.hint)
    for found in warnings:
        yield HostFinding("templates", _NAME, Level.WARNING, found.message, found.hint)
    if obstacle is None and not warnings and overrides.is_there:
        yield HostFinding("templates", _NAME, Level.OK, msg("in {folder}", folder=overrides.folder))
