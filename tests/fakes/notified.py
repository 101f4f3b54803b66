"""The spec's `notifications` from lists that hold the receivers themselves, as a test is read best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_LISTS = ("page", "critical", "warning", "info", "watchdog")


def notified(section: Mapping[str, Any]) -> dict[str, Any]:
    """`section` with the receivers of its lists by name: those of `critical` are critical_0, critical_1 …"""
    receivers: dict[str, Any] = {}

    def names(listed: str, given: Sequence[Mapping[str, Any]]) -> list[str]:
        made = {f"{listed}_{number}": receiver for number, receiver in enumerate(given)}
        receivers.update(made)
        return list(made)

    found = {key: names(key, value) if key in _LISTS else value for key, value in section.items()}
    if "next" in section:
        found["next"] = [
            {**step, "receivers": names(f"next_{number}", step["receivers"])}
            for number, step in enumerate(section["next"])
        ]
    return {"receivers": receivers, **found}
