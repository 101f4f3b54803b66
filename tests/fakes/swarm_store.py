"""The part of a Swarm that keeps configs, by docker's own command line: names are taken once.

Modelled on `docker config` of Docker 26 (docs.docker.com/reference/cli/docker/config, 2026-11-27): create
refuses a name that is taken, and one of other characters or over 64; inspect prints what it finds, and exits
with 1 where something is missing; rm takes ids. Anything else is refused.
"""

from __future__ import annotations

import base64
import json
import re
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

from techsapo_ops.adapters.process import Command, Completed

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}[a-zA-Z0-9]|[a-zA-Z0-9]")


class SwarmStore:
    """A Runner whose docker knows configs and the time; `away` makes every call fail as without a quorum.

    `unread` are names that are listed and can't be looked at, as while the leader changes.
    """

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 27, 3, 0, tzinfo=UTC)
        self.away = False
        self.unread: frozenset[str] = frozenset()
        self._configs: dict[str, dict[str, Any]] = {}
        self._lock = threading.Lock()
        self._given = 0

    def name_of(self, id_: str) -> str:
        """The name of a config; nothing for one that is gone."""
        return str(self._configs[id_]["Spec"]["Name"]) if id_ in self._configs else ""

    def pass_by(self, seconds: float) -> None:
        """Let time pass on the managers."""
        self.now += timedelta(seconds=seconds)

    def write(self, purpose: str, name: str, data: bytes) -> None:
        """What somebody else has written in the place of a note."""
        argv = ("docker", "config", "create", "--label", f"techsapo.note={purpose}", name, "-")
        assert self.run(Command(argv, stdin=data)).code == 0

    def copy(self) -> SwarmStore:
        """As it is now."""
        other = SwarmStore()
        other.now, other._configs, other._given = self.now, dict(self._configs), self._given
        return other

    @property
    def names(self) -> list[str]:
        """Names of all configs, sorted."""
        return sorted(entry["Spec"]["Name"] for entry in self._configs.values())

    def run(self, command: Command, *, timeout: float = 60.0) -> Completed:
        """As a Runner."""
        if self.away:
            return _said(command, 1, "", "Error response from daemon: The swarm does not have a leader.")
        with self._lock:
            return self._run(command, list(command.argv[1:]))

    def _run(self, command: Command, argv: list[str]) -> Completed:
        if argv[0] == "info":
            return _said(command, 0, self._stamp())
        assert argv[0] == "config", argv
        return {"ls": self._ls, "inspect": self._inspect, "create": self._create, "rm": self._rm}[argv[1]](
            command, argv[2:]
        )

    def _ls(self, command: Command, argv: list[str]) -> Completed:
        quiet, option, filtered = argv
        assert (quiet, option) == ("--quiet", "--filter")
        label, value = filtered.removeprefix("label=").split("=")
        found = [i for i, entry in self._configs.items() if entry["Spec"]["Labels"].get(label) == value]
        return _said(command, 0, "\n".join(found))

    def _inspect(self, command: Command, argv: list[str]) -> Completed:
        by_name = {entry["Spec"]["Name"]: entry for entry in self._configs.values()}
        found = [each for i in argv if (each := self._configs.get(i) or by_name.get(i)) is not None]
        missing = [i for i in argv if i not in self._configs and i not in by_name]
        unread = [each for each in found if each["Spec"]["Name"] in self.unread]
        said = [_not_found(missing)] if missing else []
        said += ["Error response from daemon: The swarm does not have a leader."] if unread else []
        printed = [each for each in found if each not in unread]
        return _said(command, int(bool(said)), json.dumps(printed), "\n".join(said))

    def _create(self, command: Command, argv: list[str]) -> Completed:
        option, label, name, source = argv
        assert (option, source) == ("--label", "-")
        if not _NAME.fullmatch(name):
            return _said(command, 1, "", "Error response from daemon: invalid name, only 64 [a-zA-Z0-9-_.]")
        if name in self.names:
            taken = f"Error response from daemon: rpc error: code = AlreadyExists desc = config {name}"
            return _said(command, 1, "", taken)
        self._given += 1
        key, _, value = label.partition("=")
        data = base64.b64encode(command.stdin or b"").decode()
        id_, spec = f"id{self._given}", {"Name": name, "Labels": {key: value}, "Data": data}
        self._configs[id_] = {"ID": id_, "CreatedAt": self._stamp(), "Spec": spec}
        return _said(command, 0, id_)

    def _rm(self, command: Command, argv: list[str]) -> Completed:
        missing = [i for i in argv if self._configs.pop(i, None) is None]
        return _said(command, int(bool(missing)), "", _not_found(missing))

    def _stamp(self) -> str:
        return self.now.strftime("%Y-%m-%dT%H:%M:%S.%f") + "123Z"


def _not_found(ids: list[str]) -> str:
    return "\n".join(f"Error response from daemon: config {id_} not found" for id_ in ids)


def _said(command: Command, code: int, out: str, error: str = "") -> Completed:
    return Completed(command, code, out.encode(), error.encode())
