"""What apt knows of newer packages by its lists, and whether a newer kernel waits for a reboot.

Without a network and without changing anything.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from techsapo_ops.adapters.apt import LISTS
from techsapo_ops.adapters.process import Command, Completed, Runner
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg

STAMPS = tuple(Path("/var/lib/apt/periodic") / name for name in ("update-success-stamp", "update-stamp"))
"""Written by apt's own timer after it fetched the lists."""
STALE_DAYS = 7
"""Package lists of longer ago say little about what is newer now."""
_ENVIRONMENT = {"LC_ALL": "C.UTF-8"}
_SECONDS = 20.0
_NONE = "(none)"
_FLAVOUR = re.compile(r"(?:-[a-z][a-z0-9]*)+$")
"""Of `6.12.43+deb13-cloud-amd64`, `-cloud-amd64`: kernels of another flavour do not take this one's place."""


@dataclass(frozen=True, slots=True)
class Packages:
    """dpkg and apt-cache, as any user. `lists` and `stamps` are Debian's places for them."""

    runner: Runner
    lists: Path = LISTS
    stamps: tuple[Path, ...] = STAMPS

    def fetched(self) -> float | None:
        """When the package lists were fetched last, as seconds since 1970; None where there are none."""
        if not any(self.lists.glob("*_Packages*")):
            return None
        return max(p.stat().st_mtime for p in (self.lists, *self.stamps) if p.exists())

    def security_updates(self) -> tuple[str, ...]:
        """Every installed package with a newer one of security, by name. Raises OpsError."""
        form = "${Package} ${db:Status-Status}\n"
        listed = _well(self._run("dpkg-query", "--show", f"--showformat={form}"))
        states = [line.split() for line in listed.splitlines()]
        installed = sorted({s[0] for s in states if s[-1] == "installed"})
        return parsed(_well(self._run("apt-cache", "policy", "--", *installed))) if installed else ()

    def _run(self, *argv: str) -> Completed:
        return self.runner.run(Command(argv, _ENVIRONMENT), timeout=_SECONDS)


def parsed(policy: str) -> tuple[str, ...]:
    """The packages of which `apt-cache policy` says that a newer version is one of security. Pure."""
    return tuple(sorted(_security(policy)))


def _security(policy: str) -> Iterator[str]:
    for block in re.split(r"\n(?=\S)", policy):
        name, _, rest = block.partition(":\n")
        said = dict(re.findall(r"^  (Installed|Candidate): (\S+)$", rest, re.MULTILINE))
        now, then = said.get("Installed", _NONE), said.get("Candidate", _NONE)
        if _NONE not in (now, then) and now != then:
            versions = _versions(rest)
            if _newer(versions, now, then) and _is_security(versions, now, then):
                yield name


def _versions(block: str) -> Mapping[str, Sequence[str]]:
    """The suites of each version, the newest version first, as apt lists them."""
    versions: dict[str, list[str]] = {}
    suites: list[str] = []
    for line in block.splitlines():
        if version := re.fullmatch(r" (?:\*\*\*|   ) (\S+) -?\d+(?: \(.*\))?", line):
            suites = versions.setdefault(version[1], [])
        elif origin := re.fullmatch(r" {7,}-?\d+ \S+ ([^/\s]+)(?:/\S*)?(?: \S+)? Packages", line):
            suites.append(origin[1])
    return versions


def _newer(versions: Mapping[str, Sequence[str]], now: str, then: str) -> bool:
    """Whether the candidate is the newer one: a pin may choose an older."""
    order = list(versions)
    return now not in order or then not in order or order.index(then) < order.index(now)


def _is_security(versions: Mapping[str, Sequence[str]], now: str, then: str) -> bool:
    """Whether anything on the way is of a security suite: later point releases take it in."""
    order = list(versions)
    first = order.index(then) if then in order else 0
    last = order.index(now) if now in order else len(order)
    return any(suite.endswith("-security") for version in order[first:last] for suite in versions[version])


def _well(done: Completed) -> str:
    if done.code != 0:
        first = (done.output.splitlines() or [msg("exit code {code}", code=done.code)])[0]
        raise OpsError(msg("`{argv}` failed: {first}", argv=done.command.argv[0], first=first))
    return done.stdout.decode(errors="replace")


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
        return msg("kernel {release} is running, but {newest} is installed", release=release, newest=newest)
    if asked_for.exists():
        names = _lines(asked_for.with_name(f"{asked_for.name}.pkgs"))
        who = ", ".join(names) or msg("a package")
        return msg("{who} requires a reboot ({file})", who=who, file=asked_for)
    return ""


def _installed(boot: Path, release: str) -> Iterator[str]:
    """The releases in `boot` that have the flavour of `release`."""
    flavour = _FLAVOUR.search(release)
    for path in boot.glob("vmlinuz-*"):
        version = path.name.removeprefix("vmlinuz-")
        other = _FLAVOUR.search(version)
        if flavour and other and flavour[0] == other[0]:
            yield version


def _order(release: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", _FLAVOUR.sub("", release)))


def _lines(path: Path) -> list[str]:
    try:
        return sorted(set(path.read_text(encoding="utf-8", errors="replace").split()))
    except OSError:
        return []
