"""Installs Debian packages without letting their services start."""

from __future__ import annotations

import re
import shlex
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from techsapo_ops.adapters.files import write_atomic
from techsapo_ops.adapters.process import Command, Completed, Runner
from techsapo_ops.adapters.units import Units
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import joined, msg

POLICY = Path("/usr/sbin/policy-rc.d")
LISTS = Path("/var/lib/apt/lists")
# 101: "action forbidden by policy", https://people.debian.org/~hmh/invokerc.d-policyrc.d-specification.txt
_POLICY_SCRIPT = b"#!/bin/sh\n# written by techsapo while it installs packages\nexit 101\n"
_ENVIRONMENT = {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
_LOCK_SECONDS = 30
_UPDATE_SECONDS, _INSTALL_SECONDS = 300.0, 1800.0


@dataclass(frozen=True, slots=True)
class Installed:
    """What an installation did: packages added, units then disabled, and services that ran before it."""

    packages: tuple[str, ...]
    disabled: tuple[str, ...]
    left_running: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Apt:
    """apt-get, as root. `policy` and `lists` are Debian's places for them."""

    runner: Runner
    units: Units
    policy: Path = POLICY
    lists: Path = LISTS

    def missing(self, packages: Sequence[str]) -> tuple[str, ...]:
        """Those of `packages` that are not installed."""
        if not packages:
            return ()
        done = self.runner.run(
            Command(("dpkg-query", "--show", "--showformat=${Package} ${db:Status-Status}\n", *packages))
        )
        present = {
            line.split()[0]
            for line in done.stdout.decode(errors="replace").splitlines()
            if line.endswith(" installed")
        }
        return tuple(package for package in packages if package not in present)

    def install(self, packages: Sequence[str], progress: Callable[[str], None]) -> Installed:
        """Install those of `packages` that are missing.

        No service starts: a policy-rc.d forbids it meanwhile, and units that the packages enabled are
        disabled. Services that ran before are left alone. Package lists are fetched when there are none, or
        when apt does not know a package. Raises OpsError saying what apt said.
        """
        wanted = self.missing(packages)
        running = tuple(sorted(self.units.running()))
        if not wanted:
            return Installed((), (), running)
        enabled = self.units.enabled()
        if not any(self.lists.glob("*_Packages*")):
            self._update(progress)
        progress(msg("installing {packages}", packages=joined(", ", wanted)))
        with _no_service_starts(self.policy):
            self._fix(progress)
            try:
                self._apt(install_command(wanted), _INSTALL_SECONDS)
            except _StaleListsError:
                self._update(progress)
                self._apt(install_command(wanted), _INSTALL_SECONDS)
        added = self.units.enabled() - enabled
        self.units.disable(added)
        return Installed(wanted, tuple(sorted(added)), running)

    def _update(self, progress: Callable[[str], None]) -> None:
        progress(msg("fetching the package lists"))
        self._apt(Command(("apt-get", *_options(), "update"), _ENVIRONMENT), _UPDATE_SECONDS)

    def _fix(self, progress: Callable[[str], None]) -> None:
        """Finish what an interrupted dpkg left half done; apt refuses to work before that."""
        if self.runner.run(Command(("dpkg", "--audit"))).stdout.strip():
            progress(msg("finishing an interrupted installation (dpkg --configure -a)"))
            self._apt(Command(("dpkg", "--configure", "-a"), _ENVIRONMENT), _INSTALL_SECONDS)

    def _apt(self, command: Command, timeout: float) -> None:
        done = self.runner.run(command, timeout=timeout)
        if done.code != 0:
            raise _failure(done)


class _StaleListsError(OpsError):
    """The package lists name something that the archive has no more, or do not name it yet."""


def install_command(packages: Sequence[str]) -> Command:
    """The apt-get call that installs `packages` and asks nothing."""
    return Command(
        (
            "apt-get",
            *_options(),
            "install",
            "--yes",
            "--no-install-recommends",
            "--",
            *packages,
        ),
        _ENVIRONMENT,
    )


def _options() -> tuple[str, ...]:
    # confold: a configuration file that an admin changed stays as it is, without a question.
    return (
        "--quiet",
        f"--option=DPkg::Lock::Timeout={_LOCK_SECONDS}",
        # Without a terminal of its own dpkg stays in apt's process group and is ended together with it.
        "--option=Dpkg::Use-Pty=0",
        "--option=Dpkg::Options::=--force-confdef",
        "--option=Dpkg::Options::=--force-confold",
    )


def _failure(done: Completed) -> OpsError:
    text = done.output
    what = shlex.join(word for word in done.command.argv if not word.startswith("--option"))
    held = re.search(
        r"Could not get lock (\S+?)\.?(?: It is held by process (\d+) \(([^)]*)\))?(?:\s|$)", text
    )
    if held:
        who = (
            msg("{held} (pid {held2})", held=held[3], held2=held[2])
            if held[2]
            else msg("another apt or dpkg")
        )
        return OpsError(
            msg("{who} holds apt's lock {held}", who=who, held=held[1]),
            msg("wait until that program has finished, then try again"),
        )
    lines = [line for line in text.splitlines() if line.startswith(("E:", "dpkg:"))] or text.splitlines()[-3:]
    message = msg(
        "`{what}` failed: {lines}",
        what=what,
        lines=" ".join(lines) or msg("exit code {code}", code=done.code),
    )
    if re.search(r"Unable to locate package|has no installation candidate|404 +Not Found", text):
        return _StaleListsError(message, msg("check that /etc/apt/sources.list names Debian's main archive"))
    if re.search(r"Temporary failure resolving|Could not (resolve|connect)", text):
        return OpsError(
            message, msg("check this host's network, and that /etc/apt names a reachable archive")
        )
    return OpsError(message)


@contextmanager
def _no_service_starts(policy: Path) -> Iterator[None]:
    """Forbid invoke-rc.d to start anything while the block runs.

    A policy-rc.d that is already there is renamed aside and back, so that it returns byte for byte, with
    its mode, owner and links. SIGTERM and SIGHUP end the block like Ctrl-C does; what a kill -9 left is put
    right by the next call.
    """
    aside = policy.with_name(f"{policy.name}.techsapo-saved")
    with _signals_as_exceptions():
        try:
            # An earlier run was killed: what stands there is ours, and the admin's own lies aside.
            if policy.exists() and not policy.is_symlink() and policy.read_bytes() == _POLICY_SCRIPT:
                policy.unlink()
            if not aside.is_symlink() and not aside.exists() and (policy.exists() or policy.is_symlink()):
                policy.rename(aside)
        except OSError as error:
            raise OpsError(
                msg("cannot change {policy}: {strerror}", policy=policy, strerror=error.strerror),
                msg("run as root"),
            ) from None
        try:
            write_atomic(policy, _POLICY_SCRIPT, 0o755)
            yield
        finally:
            if aside.is_symlink() or aside.exists():
                aside.rename(policy)
            else:
                policy.unlink(missing_ok=True)


@contextmanager
def _signals_as_exceptions() -> Iterator[None]:
    """SIGTERM and SIGHUP raise SystemExit while the block runs, so that its clean-up happens."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
