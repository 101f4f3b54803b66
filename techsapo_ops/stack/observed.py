"""What an engine sees of a stack: each service that exists, what it uses, and the lines of its log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from techsapo_ops.adapters.json_files import read_json, write_json
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.stack.layout import Layout

FOLDER_GONE = msg(
    "the data folder was removed while the service was running: the data is lost when the service stops"
)
"""What is said of a service as its `drift`."""
NOTE = "stopped.json"


class State(StrEnum):
    """State of one service as its engine sees it."""

    RUNNING = "running"
    STARTING = "starting"
    STOPPED = "stopped"
    BACKOFF = "backoff"
    """It exited and is being started again."""
    CRASHED = "crashed"
    """It kept exiting; the engine gave up."""
    UNREACHABLE = "unreachable"
    """Its machine does not answer."""

    @property
    def runs(self) -> bool:
        """Whether its process is there."""
        return self in {State.RUNNING, State.STARTING}

    @property
    def running_or_restarting(self) -> bool:
        """Whether its process is there, or is started again."""
        return self.runs or self is State.BACKOFF


@dataclass(frozen=True, slots=True)
class Usage:
    """What one service uses now: CPU in percent of one core, resident memory in bytes."""

    cpu_percent: float
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class ObservedService:
    """One service that exists. `fingerprint` and `config` are the digests it was started or reloaded with.

    `files` has the digest of each configuration file by path, so that a plan can name those that changed.
    `host`, `port` and `user` are what it was started with, for a list of services that reads no spec.
    """

    name: str
    kind: str
    state: State
    pid: int | None = None
    started: datetime | None = None
    restarts: int = 0
    exit_code: int | None = None
    fingerprint: str = ""
    config: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    host: str | None = None
    port: int | None = None
    user: str | None = None
    machine: str = ""
    """Where it runs, of several machines; empty for a stack of one host."""
    drift: str = ""
    """Why what runs is not what was started: made anew, or from another image, outside techsapo."""
    container: str = ""
    """Id of its container, where it has one."""
    image: str = ""
    """Id of the image that the container was made from."""
    build: str | None = None
    """Which build of this package its process runs, see adapters.build.

    Empty where that is not known, None for a service that is none of ours.
    """
    outdated: bool = False
    """Whether its process runs another build of this package than the one installed, or does not say which.

    Never for a container, which runs what its image holds: another code is another image.
    """
    replaced: str = ""
    """What it still runs that an update has replaced since it was started, in words."""
    gone: bool = False
    """Whether somebody has removed its container."""
    oom: bool = False
    """Whether the kernel killed a process of its container because its memory was used up."""
    usage: Usage | None = None
    """What it uses now, where that was measured and it runs."""

    @property
    def begins_again(self) -> str:
        """The command that starts it anew: a container made anew is the work of `up`."""
        return "techsapo up" if self.drift else f"techsapo restart {self.name}"


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything that exists of a stack. `running` says whether the engine itself is up."""

    running: bool
    services: Mapping[str, ObservedService] = field(default_factory=dict)
    beside: Mapping[str, str] = field(default_factory=dict)
    """By name the programs without which no service runs, and what they run that an update has replaced."""
    unreachable: Mapping[str, str] = field(default_factory=dict)
    """By name the machines that did not answer, and why."""
    stopped: Mapping[str, Stopped] = field(default_factory=dict)
    """By name the services that somebody has stopped and that stay so, whether they exist or not."""

    @property
    def away(self) -> list[dict[str, str]]:
        """The machines that did not answer, as commands with --json tell them."""
        from techsapo_ops.adapters.unreachable import away_json  # of several hosts alone

        return away_json(self.unreachable)

    @property
    def unknown(self) -> bool:
        """Whether nothing is seen to run, and hosts that could have something do not answer."""
        return bool(self.unreachable) and not self.running

    def require_known(self) -> None:
        """Raise HostsAway where a host does not answer and no other one has anything: it may have all."""
        if self.unknown:
            from techsapo_ops.adapters.unreachable import HostsAway  # likewise

            raise HostsAway(self.unreachable)

    def with_usage(self, usage: Mapping[str, Usage]) -> Observed:
        """The same with what each service uses; `usage` has it by name for those that run."""
        services = {name: replace(seen, usage=usage.get(name)) for name, seen in self.services.items()}
        return replace(self, services=services)

    @property
    def images(self) -> Mapping[str, str]:
        """Image id by service name; empty for an engine without images."""
        return {name: seen.image for name, seen in self.services.items() if seen.image}


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of one service's log; `time` is None where the line carries none that can be read."""

    service: str
    text: str
    time: datetime | None = None


@dataclass(frozen=True, slots=True)
class Stopped:
    """Who stopped a service, and when."""

    by: str
    since: datetime

    def to_json(self) -> dict[str, Any]:
        """As it is noted."""
        return {"by": self.by, "since": self.since.isoformat(timespec="seconds")}

    def __str__(self) -> str:
        return msg("stopped by {by} at {since:%Y-%m-%d %H:%M} UTC", by=self.by, since=self.since)


def stopped_of(layout: Layout) -> dict[str, Stopped]:
    """Those of the stack, by name. Raises OpsError for a note that can't be read."""

    def made(value: Any) -> dict[str, Stopped]:
        return {
            str(name): Stopped(str(entry["by"]), datetime.fromisoformat(entry["since"]))
            for name, entry in value.items()
        }

    return read_json(
        _note(layout), made, empty={}, remedy=msg("remove that file; `techsapo up` then starts all services")
    )


def note_stopped(layout: Layout, stopped: Mapping[str, Stopped]) -> None:
    """Write down which stay stopped. Raises OpsError where that can't be written."""
    from techsapo_ops.adapters.files import remove_file

    if stopped:
        write_json(_note(layout), {name: each.to_json() for name, each in stopped.items()})
        return
    try:
        remove_file(_note(layout))
    except OSError as error:
        raise OpsError(
            msg("cannot remove {note}: {strerror}", note=_note(layout), strerror=error.strerror)
        ) from None


def _note(layout: Layout) -> Path:
    return layout.state / NOTE
