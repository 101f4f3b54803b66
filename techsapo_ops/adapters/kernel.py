"""Whether this host runs another kernel than the newest that is installed, read from files alone."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from techsapo_ops.messages import msg

_FLAVOUR = re.compile(r"(?:-[a-z][a-z0-9]*)+$")
"""Of `6.12.43+deb13-cloud-amd64`, `-cloud-amd64`: kernels of another flavour do not take this one's place."""


def reboot_reason(
    boot: Path = Path("/boot"),
    asked_for: Path = Path("/run/reboot-required"),
    running: str = "",
) -> str:
    """Why this host needs a reboot, in words; empty where nothing is known that asks for one.

    `running` is the release of the kernel, by default that of `uname -r`. Inside a container, which has no
    kernel of its own, there is nothing in `boot`.
    """
    release = running or os.uname().release
    newest = max(_installed(boot, release), key=_order, default=release)
    if _order(newest) > _order(release):
        return msg("runs kernel {release}, and {newest} is installed", release=release, newest=newest)
    if asked_for.exists():
        names = _lines(asked_for.with_name(f"{asked_for.name}.pkgs"))
        who = ", ".join(names) or msg("a package")
        return msg("{who} asks for a reboot ({file})", who=who, file=asked_for)
    return ""


def _installed(boot: Path, release: str) -> Iterator[str]:
    """The releases in `boot` that have the flavour of `release`."""
    flavour = _FLAVOUR.search(release)
    for path in boot.glob("vmlinuz-*"):
        found = path.name.removeprefix("vmlinuz-")
        other = _FLAVOUR.search(found)
        if flavour and other and flavour[0] == other[0]:
            yield found


def _order(release: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", _FLAVOUR.sub("", release)))


def _lines(path: Path) -> list[str]:
    try:
        return sorted(set(path.read_text(encoding="utf-8", errors="replace").split()))
    except OSError:
        return []
