"""A user's crontab, through crontab(1)."""

from __future__ import annotations

from dataclasses import dataclass

from techsapo_ops.adapters.process import Command, Runner
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg

_NONE = b"no crontab for "


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
            msg("may this user have a crontab?"),
        )

    def write(self, content: bytes) -> None:
        """Replace the crontab; an empty one is removed. Raises OpsError when cron refuses it."""
        if not content and not self.read():
            return
        done = self.runner.run(self._command("-", stdin=content) if content else self._command("-r"))
        if done.code != 0:
            raise OpsError(
                msg("`{command}` failed: {output}", command=done.command, output=done.output),
                msg("the crontab is as it was"),
            )
        if self.read() != content:
            raise OpsError(
                msg("the crontab is not what was written"),
                msg("somebody else changed it meanwhile; try again"),
            )

    def _command(self, *words: str, stdin: bytes | None = None) -> Command:
        if self.program is None:
            raise OpsError(
                msg("there is no crontab command on this host"),
                msg("as root: apt-get install cron; or set `schedule.by: service` in the spec"),
            )
        return Command((self.program, *words), {"LC_ALL": "C"}, stdin)
