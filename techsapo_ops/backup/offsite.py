"""A second place for backups, by restic: encrypted, deduplicated, on a folder, S3, SFTP or a REST server."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from techsapo_ops.adapters.process import Command, Completed, Runner
from techsapo_ops.errors import OpsError
from techsapo_ops.spec.models.data import Offsite
from techsapo_ops.spec.secret import Secret
from techsapo_ops.stack.stack import Stack

_NO_REPOSITORY = 10
_LOCKED = 11
_WRONG_PASSWORD = 12
"""Exit codes of restic, from its manual's page on scripting."""
_TAG = "techsapo"
_SECONDS = 6 * 3600.0
_LOGINS = (
    ("an S3", "access_key_id", "AWS_ACCESS_KEY_ID", "secret_access_key", "AWS_SECRET_ACCESS_KEY"),
    ("a REST", "rest_user", "RESTIC_REST_USERNAME", "rest_password", "RESTIC_REST_PASSWORD"),
)
"""Each kind of login: whose it is, and both its fields with the variables in which restic looks for them."""


def login(offsite: Offsite) -> dict[str, str]:
    """The variables by which restic logs in. Raises OpsError where one half of a login is given alone."""
    found: dict[str, str] = {}
    for place, user, user_variable, secret, secret_variable in _LOGINS:
        name: str | None = getattr(offsite, user)
        value: Secret | None = getattr(offsite, secret)
        if (name is None) != (value is None):
            raise OpsError(
                f"backup.offsite has one half of {place} login alone",
                f"set both {user} and {secret} (or {secret}_file), or neither",
            )
        if name is not None and value is not None:
            found |= {user_variable: name, secret_variable: value.reveal()}
    return found


def restic_of(stack: Stack) -> Restic | None:
    """The off-site repository, where the spec has one. Raises OpsError where it can't be used."""
    offsite = stack.spec.backup.offsite
    if offsite is None:
        return None
    binary = stack.topology.host.binaries.get("restic")
    if binary is None:
        raise OpsError("backup.offsite needs restic, which is not on PATH", "apt-get install restic")
    if offsite.password is None:
        raise OpsError(
            "backup.offsite has no password: restic encrypts everything",
            "set backup.offsite.password_file, and keep a copy of it off this host",
        )
    place = (
        offsite.restic if ":" in offsite.restic else str(stack.directory / Path(offsite.restic).expanduser())
    )
    cache = stack.layout.state / "restic-cache"
    return Restic(stack.runner, binary, place, offsite.password, cache, offsite.options, login(offsite))


@dataclass(frozen=True, slots=True)
class Restic:
    """One repository. `options` are restic's `-o KEY=VALUE`; credentials of S3 and the like come from the
    environment, as restic reads them.
    """

    runner: Runner
    binary: str
    repository: str
    password: Secret
    cache: Path
    options: Mapping[str, str] = field(default_factory=dict)
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Variables that are added to that environment: what `login` returns."""

    def keep(self, id_: str, paths: Sequence[Path]) -> str:
        """Copy `paths` as the snapshot of backup `id_`, check the repository; returns the snapshot's id.

        The repository is made when it is not there. Raises OpsError with restic's words.
        """
        self._require()
        done = self._run("backup", "--json", "--tag", _TAG, "--tag", id_, *(str(p) for p in paths))
        self._checked("backup", done)
        summary = next(
            entry
            for line in reversed(done.stdout.decode(errors="replace").splitlines())
            if (entry := json.loads(line)).get("message_type") == "summary"
        )
        self._checked("check", self._run("check", "--quiet"))
        return str(summary["snapshot_id"])[:12]

    def fetch(self, id_: str, folder: str, target: Path) -> bool:
        """Put into `target` what the folder of the name `folder` held when backup `id_` was copied.

        False where no snapshot of it has that folder. Raises OpsError with restic's words.
        """
        listed = self._run("snapshots", "--json", "--tag", f"{_TAG},{id_}")
        self._checked("snapshots", listed)
        found = [
            f"{snapshot['id']}:{path}"
            for snapshot in json.loads(listed.stdout)
            for path in snapshot["paths"]
            if Path(path).name == folder
        ]
        if found:
            self._checked("restore", self._run("restore", "--quiet", found[-1], "--target", str(target)))
        return bool(found)

    def _require(self) -> None:
        if self.repository.startswith("s3:"):
            # In a bucket that is not there, restic looks for its repository again and again for 15 minutes,
            # and only `init` makes the bucket; where there is a repository, `init` ends at once.
            made = self._run("init")
            if made.code == 0:
                return
            if b"already" not in made.stderr:
                self._checked("init", made)
        found = self._run("cat", "config")
        if found.code == _NO_REPOSITORY:
            self._checked("init", self._run("init"))
        else:
            self._checked("cat config", found)

    def _run(self, *words: str) -> Completed:
        done = self._once(*words)
        if done.code == _LOCKED:
            # The lock of a killed restic goes, or no later copy would succeed; that of one at work stays.
            self._once("unlock")
            done = self._once(*words)
        return done

    def _once(self, *words: str) -> Completed:
        options = [word for key, value in self.options.items() for word in ("-o", f"{key}={value}")]
        argv = (self.binary, "--cache-dir", str(self.cache), *options, *words)
        env = {
            **self.credentials,
            "RESTIC_PASSWORD": self.password.reveal(),
            "RESTIC_REPOSITORY": self.repository,
        }
        return self.runner.run(Command(argv, env), timeout=_SECONDS)

    def _checked(self, what: str, done: Completed) -> None:
        if done.code == 0:
            return
        hint = {
            _LOCKED: "another restic is at work there; try again when it has ended",
            _WRONG_PASSWORD: "backup.offsite.password is not the repository's",
        }.get(done.code, "check backup.offsite, and that the place can be reached")
        said = done.stderr.decode(errors="replace").strip() or done.output
        raise OpsError(f"restic {what} failed with code {done.code}: {said[-600:]}", hint)
