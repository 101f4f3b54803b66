"""A second place for backups, by restic: encrypted, deduplicated, on a folder, S3, SFTP or a REST server."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from techsapo_ops.adapters.process import Command, Completed, Runner, TimedOut
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.spec.secret import Secret
from techsapo_ops.stack.layout import RESTIC_CACHE
from techsapo_ops.stack.stack import Stack

_NO_REPOSITORY = 10
_LOCKED = 11
_WRONG_PASSWORD = 12
"""Exit codes of restic, from its manual's page on scripting."""
_SAID = {
    _LOCKED: re.compile(rb"repository is already locked"),
    _WRONG_PASSWORD: re.compile(rb"wrong password or no key found"),
    _NO_REPOSITORY: re.compile(rb"unable to open config file: .*(does not exist|no such file)"),
}
"""What restic says then. Before 0.17.1, such as in Debian 12, it ends with 1 all the same."""
_DAMAGED_REPOSITORY = b"repository contains errors"
_PACK = re.compile(r"[Pp]ack(?: ID does not match, want)? ([0-9a-f]{64})")
_AT_ONCE = 1000
"""Names on one command line."""
_READING = frozenset({"snapshots", "dump", "stats", "restore", "check", "cat", "find", "ls", "list"})
_NO_LOCK = b"unable to create lock in backend"
_TAG = "techsapo"
PART_TAG = "part"
"""On a snapshot that has some of a stack's data alone, or what a restore put aside."""
_PROJECT_TAG = "project="
_BACKUP_TAG = re.compile(r"\d{8}T\d{6}Z(-\d+)?")
_DAMAGED = re.compile(r'(?:^Ignoring "|could not load snapshot )([0-9a-f]{8})', re.MULTILINE)
"""restic ends with 0 all the same, and leaves it out of the list."""
_FRACTION = re.compile(r"\.\d+")
_SECONDS = 6 * 3600.0
PATIENCE = 60.0
"""Seconds in which an existing repository returns its configuration: restic itself tries for 15 minutes."""
_LOCK_SECONDS = 120.0
"""Seconds for which a restore waits for whoever has the repository for himself, such as `restic prune`."""
_LOCK_PAUSE = 5.0
_SHOWN = 600
"""Characters of restic's output that are shown."""


def _time(text: str) -> datetime:
    """A time of restic's, which has nanoseconds."""
    return datetime.fromisoformat(_FRACTION.sub("", text)).astimezone(UTC)


def project_tag(project: str) -> str:
    """The tag of snapshots of that project."""
    return f"{_PROJECT_TAG}{project}"


def _cause(done: Completed) -> int:
    """How it ended, by the exit codes of a restic that has one for each cause."""
    if done.code != 1:
        return done.code
    said = done.stdout + done.stderr
    return next((code for code, words in _SAID.items() if words.search(said)), done.code)


def restic_of(stack: Stack) -> Restic | None:
    """The off-site repository, where the spec has one. Raises OpsError where it can't be used."""
    offsite = stack.spec.backup.offsite
    if offsite is None:
        return None
    binary = stack.topology.host.binaries.get("restic")
    if binary is None:
        raise OpsError(msg("backup.offsite needs restic, which is not on PATH"), "apt-get install restic")
    if offsite.password is None:
        raise OpsError(
            msg("backup.offsite has no password, which restic needs for its encryption"),
            msg("set backup.offsite.password_file, and keep a copy of it off this host"),
        )
    place = (
        offsite.restic if ":" in offsite.restic else str(stack.directory / Path(offsite.restic).expanduser())
    )
    cache = stack.layout.state / RESTIC_CACHE
    environment = {name: secret.reveal() for name, secret in (offsite.environment or {}).items()}
    return Restic(stack.runner, binary, place, offsite.password, cache, offsite.options, environment)


@dataclass(frozen=True, slots=True)
class AwaySnapshot:
    """One copy in the repository: `paths` as they were given to restic, `time` in UTC."""

    id: str
    time: datetime
    host: str
    paths: tuple[str, ...]
    tags: tuple[str, ...]

    @property
    def backup(self) -> str:
        """Id of the backup that it is a copy of; empty where no tag names one."""
        return next((tag for tag in self.tags if _BACKUP_TAG.fullmatch(tag)), "")

    @property
    def project(self) -> str:
        """The project; empty where no tag names one."""
        return next((t.removeprefix(_PROJECT_TAG) for t in self.tags if t.startswith(_PROJECT_TAG)), "")

    @property
    def whole(self) -> bool:
        """Whether it has all that the stack had, as far as its tags say."""
        return PART_TAG not in self.tags

    def place(self, folder: str) -> str:
        """The path in it whose last name is `folder`; empty where it has none."""
        return next((path for path in self.paths if Path(path).name == folder), "")


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
    given: str = "backup.offsite"
    """What names the repository and its password, for errors."""

    def keep(self, id_: str, paths: Sequence[Path], tags: Sequence[str] = ()) -> str:
        """Copy `paths` as the snapshot of backup `id_` with further `tags`, check the repository; returns the
        snapshot's id.

        The repository is made when it is not there. Raises OpsError with restic's words.
        """
        self._require()
        named = [word for tag in (_TAG, id_, *tags) for word in ("--tag", tag)]
        done = self._run("backup", "--json", *named, *(str(p) for p in paths))
        self._checked("backup", done)
        summary = next(
            entry
            for line in reversed(done.stdout.decode(errors="replace").splitlines())
            if (entry := json.loads(line)).get("message_type") == "summary"
        )
        self._checked("check", self._run("check", "--quiet"))
        return str(summary["snapshot_id"])[:12]

    def reach(self) -> None:
        """See within PATIENCE seconds that the repository answers and takes the password. Raises OpsError."""
        self._checked(msg("cat config"), self._run("cat", "config", "--no-lock", seconds=PATIENCE))

    def fetch(self, id_: str, folder: str, target: Path) -> Path | None:
        """Restore below `target` the folder of the name `folder` that was copied with backup `id_`.

        Returns where it is then; None where no copy of that backup has it. Raises OpsError.
        """
        self.reach()
        known = [(each.id, place) for each in self.snapshots(id_) if (place := each.place(folder))]
        if not known:
            return None
        snapshot, place = known[-1]
        pattern = re.sub(r"([\\*?\[])", r"\\\1", place)
        words = ("--quiet", snapshot, "--include", pattern, "--target", str(target))
        self._checked("restore", self._run("restore", *words))
        return target / place.lstrip("/")

    def snapshots(
        self, id_: str = "", damaged: Callable[[tuple[str, ...]], None] = lambda _: None
    ) -> tuple[AwaySnapshot, ...]:
        """What techsapo copied there, of backup `id_` or of all, oldest first. Raises OpsError.

        `damaged` gets the first digits of those that can't be read, whosever they are.
        """
        listed = self._run("snapshots", "--json", "--tag", f"{_TAG},{id_}" if id_ else _TAG)
        self._checked("snapshots", listed)
        if lost := tuple(sorted(set(_DAMAGED.findall(listed.stderr.decode(errors="replace"))))):
            damaged(lost)
        try:
            copies = [
                AwaySnapshot(
                    str(each["id"]),
                    _time(each["time"]),
                    str(each.get("hostname", "")),
                    tuple(map(str, each["paths"])),
                    tuple(map(str, each.get("tags") or ())),
                )
                for each in json.loads(listed.stdout) or ()
            ]
        except (ValueError, KeyError, TypeError):
            raise OpsError(
                msg("the output of `restic snapshots` is not a list of snapshots"), msg("update restic")
            ) from None
        return tuple(sorted(copies, key=lambda snapshot: snapshot.time))

    def content(self, snapshot: str, path: str) -> bytes:
        """What the file `path` of a snapshot holds; for small ones. Raises OpsError."""
        done = self._run("dump", snapshot, path)
        self._checked("dump", done)
        return done.stdout

    def size(self, snapshot: str) -> int:
        """Bytes that a snapshot takes when it is restored. Raises OpsError."""
        done = self._run("stats", "--json", "--mode", "restore-size", snapshot)
        self._checked("stats", done)
        return int(json.loads(done.stdout)["total_size"])

    def restore(self, snapshot: str, target: Path) -> None:
        """Put all of a snapshot below `target`, each path as it was, and read it back.

        What a killed one has left there is gone on with. Raises OpsError, also where a part of it is missing.
        """
        words = ("--quiet", snapshot, "--target", str(target), "--verify")
        self._checked("restore", self._run("restore", *words))

    def read_all(self) -> tuple[str, frozenset[str]]:
        """Read every byte of the repository: what is wrong, empty for nothing, and the ids of the copies that
        this touches, as far as it is known. Raises OpsError where it could not be read.

        It takes no lock: a reading of hours would keep the next backup from being copied.
        """
        done = self._run("check", "--quiet", "--no-lock", "--read-data")
        if done.code == 0 or _DAMAGED_REPOSITORY not in done.stderr:
            self._checked("check", done)
            return "", frozenset()
        said = (done.stdout + done.stderr).decode(errors="replace")
        users = self._users(frozenset(_PACK.findall(said)))
        touched = frozenset(
            each.id
            for each in self.snapshots()
            if f"snapshot {each.id[:8]}" in users
            or self._run("ls", "--quiet", "--no-cache", each.id).code
            != 0  # a folder of it is gone, and all that is below
        )
        wrong = [line for line in said.splitlines() if "rror" in line or _PACK.search(line)]
        return "\n".join(wrong)[:_SHOWN], touched

    def _users(self, packs: frozenset[str]) -> str:
        """What restic says of who needs what these packs held, by the index: a damaged one has no answer."""
        held: dict[str, list[str]] = {"data": [], "tree": []}
        for index in self._run("list", "index").output.split() if packs else ():
            for pack in json.loads(self._run("cat", "index", index).stdout)["packs"]:
                for blob in pack["blobs"] if pack["id"] in packs else ():
                    held[blob["type"]].append(blob["id"])
        words = {"data": "--blob", "tree": "--tree"}
        return "\n".join(
            self._run("find", words[kind], *blobs[start : start + _AT_ONCE]).output
            for kind, blobs in held.items()
            for start in range(0, len(blobs), _AT_ONCE)
        )

    def forget(self, snapshots: Sequence[str]) -> None:
        """Remove copies, and what no other one needs. Raises OpsError."""
        self._checked("forget", self._run("forget", "--quiet", "--prune", *snapshots))

    def _require(self) -> None:
        if self.repository.startswith("s3:"):
            # In a bucket that is not there, restic looks for its repository again and again for 15 minutes,
            # and only `init` makes the bucket; where there is a repository, `init` ends at once.
            made = self._run("init", seconds=PATIENCE)
            if made.code == 0:
                return
            if b"already" not in made.stderr:
                self._checked("init", made)
        config = self._run("cat", "config", seconds=PATIENCE)
        if _cause(config) == _NO_REPOSITORY:
            self._checked("init", self._run("init"))
        else:
            self._checked(msg("cat config"), config)

    def _run(self, *words: str, seconds: float = _SECONDS) -> Completed:
        done = self._once(*words, seconds=seconds)
        if _cause(done) == _LOCKED:
            # The lock of a killed restic goes, or no later copy would succeed; that of one at work stays.
            self._once("unlock", seconds=seconds)
            done = self._once(*words, seconds=seconds)
            until = time.monotonic() + _LOCK_SECONDS
            while words[0] == "restore" and _cause(done) == _LOCKED and time.monotonic() < until:
                time.sleep(_LOCK_PAUSE)
                done = self._once(*words, seconds=seconds)
        elif done.code != 0 and words[0] in _READING and _NO_LOCK in done.stdout + done.stderr:
            # Who may only read can leave no lock, and needs none where nobody prunes meanwhile.
            done = self._once("--no-lock", *words, seconds=seconds)
        return done

    def _once(self, *words: str, seconds: float) -> Completed:
        options = [word for key, value in self.options.items() for word in ("-o", f"{key}={value}")]
        argv = (self.binary, "--cache-dir", str(self.cache), *options, *words)
        env = {
            **self.credentials,
            "RESTIC_PASSWORD": self.password.reveal(),
            "RESTIC_REPOSITORY": self._address(),
        }
        try:
            return self.runner.run(Command(argv, env), timeout=seconds)
        except TimedOut as error:
            said = error.said.strip()
            last = said.splitlines()[-1] if said else msg("no output")
            raise OpsError(
                msg(
                    "restic {words} got no answer from the repository within {seconds:g} s: {last}",
                    words=words[0],
                    seconds=seconds,
                    last=last,
                ),
                msg("check {given}, and that the repository can be reached", given=self.given),
            ) from None

    def _address(self) -> str:
        """The repository, with the login of a REST server, which restic before 0.16 looks for there alone.

        It goes by the environment as all of it does, and restic shows no password of it.
        """
        given = {**os.environ, **self.credentials}
        login = [quote(given.get(f"RESTIC_REST_{part}", ""), safe="") for part in ("USERNAME", "PASSWORD")]
        scheme, _, rest = self.repository.partition("://")
        if not all(login) or not scheme.startswith("rest:") or "@" in rest.partition("/")[0]:
            return self.repository
        return f"{scheme}://{':'.join(login)}@{rest}"

    @property
    def _password_word(self) -> str:
        return "backup.offsite.password" if self.given == "backup.offsite" else msg("the password")

    def _checked(self, what: str, done: Completed) -> None:
        if done.code == 0:
            return
        hint = {
            _LOCKED: msg("another restic is using the repository; try again when it has finished"),
            _WRONG_PASSWORD: msg(
                "{password_word} is wrong for this repository", password_word=self._password_word
            ),
            _NO_REPOSITORY: msg("check {given}: there is no repository", given=self.given),
        }.get(_cause(done), msg("check {given}, and that the repository can be reached", given=self.given))
        said = done.stderr.decode(errors="replace").strip() or done.output
        raise OpsError(
            msg(
                "restic {what} failed with code {code}: {said}",
                what=what,
                code=done.code,
                said=said[-_SHOWN:],
            ),
            hint,
        )
