"""What starts by itself on this host: systemd's units, and a user's crontab."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from techsapo_ops.adapters.process import Command, Runner
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg

_LIST = ("--type=service", "--no-legend", "--plain", "--no-pager")
_NONE = b"no crontab for "


@dataclass(frozen=True, slots=True)
class Units:
    """systemd's services. `systemctl` is its path, or None where there is no systemd at all.

    Where systemd does not run (a container, a chroot), units are read and disabled by their files below
    `root`: they would otherwise start when this file system boots one day.
    """

    runner: Runner
    systemctl: str | None
    root: Path = Path("/")

    @property
    def live(self) -> bool:
        """Whether systemd runs this system; sd_booted(3) asks the same."""
        return self.systemctl is not None and (self.root / "run/systemd/system").is_dir()

    def enabled(self) -> frozenset[str]:
        """Names of the services that start at boot."""
        return self._names("list-unit-files", *_LIST, "--state=enabled")

    def running(self) -> frozenset[str]:
        """Names of the services that run now; empty where systemd does not run."""
        return self._names("list-units", *_LIST, "--state=running") if self.live else frozenset()

    def disable(self, names: Iterable[str]) -> None:
        """Keep units from starting at boot; those running go on. Raises OpsError when it is refused."""
        wanted = sorted(names)
        if not wanted or self.systemctl is None:
            return
        done = self.runner.run(self._command("disable", *wanted))
        if done.code != 0:
            raise OpsError(msg("`{command}` failed: {output}", command=done.command, output=done.output))

    def _command(self, *words: str) -> Command:
        assert self.systemctl is not None  # noqa: S101 - callers ask first
        where = () if self.live else (f"--root={self.root}",)
        return Command((self.systemctl, *where, *words))

    def _names(self, *words: str) -> frozenset[str]:
        if self.systemctl is None:
            return frozenset()
        done = self.runner.run(self._command(*words))
        if done.code != 0:
            raise OpsError(msg("`{command}` failed: {output}", command=done.command, output=done.output))
        lines = done.stdout.decode(errors="replace").splitlines()
        return frozenset(line.split()[0] for line in lines if line.strip())


@dataclass(frozen=True, slots=True)
class Crontab:
    """The crontab of who runs this. `program` is crontab's path, None where there is none."""

    runner: Runner
    program: str | None

    def read(self) -> bytes:
        """The whole crontab; nothing where there is none yet.

        Raises OpsError when it can't be read: what can't be read must not be replaced.
        """
        done = self.runner.run(self._command("-l"))
        if done.code == 0:
            return done.stdout
        if done.stderr.startswith(_NONE):
            return b""
        raise OpsError(
            msg("`{command}` failed: {output}", command=done.command, output=done.output),
            msg("check whether this user is allowed to have a crontab"),
        )

    def write(self, content: bytes) -> None:
        """Replace the crontab; an empty one is removed. Raises OpsError when cron refuses it."""
        if not content and not self.read():
            return
        done = self.runner.run(self._command("-", stdin=content) if content else self._command("-r"))
        if done.code != 0:
            raise OpsError(
                msg("`{command}` failed: {output}", command=done.command, output=done.output),
                msg("the crontab is unchanged"),
            )
        if self.read() != content:
            raise OpsError(
                msg("the crontab differs from the version that was written"),
                msg("somebody else changed the crontab at the same time; try again"),
            )

    def _command(self, *words: str, stdin: bytes | None = None) -> Command:
        if self.program is None:
            raise OpsError(
                msg("this host has no crontab command"),
                msg("as root: apt-get install cron; or set `schedule.by: service` in the spec"),
            )
        return Command((self.program, *words), {"LC_ALL": "C"}, stdin)
