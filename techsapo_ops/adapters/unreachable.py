"""Hosts that do not answer: what can't be told of them, and why their Docker could not be spoken to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from techsapo_ops.adapters.process import TimedOut
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import joined, msg

LOOK = msg("`techsapo hosts check` shows what each host lacks; running services keep running")
_UNREACHED = (
    "error during connect",
    "Cannot connect to the Docker daemon",
    "failed to connect to the docker API",
    "permission denied while trying to connect",
)
_WAITED = re.compile(r"did not end within ([0-9.]+) s")
_PORT = re.compile(r"port ([0-9]+): Connection refused")


class HostsAway(OpsError):
    """Nothing can be told. `unreachable` has by name the hosts that did not answer, and why they did not."""

    def __init__(self, unreachable: Mapping[str, str]) -> None:
        self.unreachable = dict(unreachable)
        self.why = msg("{hosts} can't be reached", hosts=", ".join(unreachable))
        super().__init__(msg("the state of this stack is unknown: {why}", why=self.why), LOOK)


class NoManagerError(OpsError):
    """No quorum answers. `unreachable` as of HostsAway, for those of the hosts that did not answer at all."""

    def __init__(self, message: str, hint: str, unreachable: Mapping[str, str]) -> None:
        super().__init__(message, hint)
        self.unreachable = dict(unreachable)


def away_of(error: OpsError) -> Mapping[str, str]:
    """The hosts that did not answer, where `error` says that the Swarm can't be asked without them."""
    return error.unreachable if isinstance(error, HostsAway | NoManagerError) else {}


def reasons_of(unreachable: Mapping[str, str]) -> str:
    """The hosts that did not answer, each with why."""
    return joined("; ", (msg("{name}: {why}", name=name, why=why) for name, why in unreachable.items()))


def away_json(unreachable: Mapping[str, str]) -> list[dict[str, str]]:
    """Those hosts, as commands with --json tell them."""
    return [{"host": host, "why": why} for host, why in unreachable.items()]


def lacking(away: Mapping[str, str]) -> str:
    """What hosts lack that were passed over, with the reasons; nothing where there are none."""
    if not away:
        return ""
    return msg(
        "this change did not reach {hosts}. A host that comes back uses its old copy until the next "
        "`techsapo up`, or until a certificate, a key or a job is updated",
        hosts="; ".join(f"{name} ({why})" for name, why in away.items()),
    )


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a machine could not be spoken to, in plain words, and what helps."""

    why: str
    remedy: str = ""


class Unreached(OpsError):
    """A machine's Docker could not be spoken to; `why` says it without the machine's name."""

    def __init__(self, name: str, refusal: Refusal) -> None:
        super().__init__(
            msg("{machine} can't be reached: {why}", machine=name, why=refusal.why), refusal.remedy
        )
        self.why = refusal.why


def is_unreached(said: str) -> bool:
    """Whether these are the docker client's words of a daemon that it could not speak to."""
    return any(words in said for words in _UNREACHED)


def why(error: OpsError, name: str, way: str) -> str:
    """Why the machine `name` did not do what was asked; `way` leads to its Docker. Without its name."""
    if isinstance(error, Unreached):
        return error.why
    if isinstance(error, TimedOut) or is_unreached(error.message):
        return plainly(error.message, name, way).why
    return error.message


def plainly(said: str, name: str, way: str) -> Refusal:
    """What the docker client, or ssh below it, said of the machine `name` that it can't reach by `way`."""
    where = way.removeprefix("ssh://")
    host = where.rpartition("@")[2].partition("/")[0].rpartition(":")[0] or where.rpartition("@")[2]
    on_it = msg("on host {name}: ", name=name)
    cable = msg("check the host's power and network cable")
    waited, port = _WAITED.search(said), _PORT.search(said)
    known: tuple[tuple[tuple[str, ...], str, str], ...] = (
        (
            ("REMOTE HOST IDENTIFICATION HAS CHANGED",),
            msg("the ssh host key has changed"),
            msg(
                "find out why the key has changed; then run `ssh-keygen -R {host}` and connect once",
                host=host,
            ),
        ),
        (
            ("Host key verification failed",),
            msg("the ssh host key is unknown"),
            msg("run `ssh {where}` once, and check the key that ssh shows", where=where),
        ),
        (
            ("permission denied while trying to connect",),
            msg("this user is not allowed to use Docker on that host"),
            on_it + "`sudo usermod -aG docker USER`",
        ),
        (
            ("Permission denied (",),
            msg("ssh does not let this user log in"),
            msg("set up a key that works without a prompt: `ssh -o BatchMode=yes {where} true`", where=where),
        ),
        (
            ("Could not resolve hostname",),
            msg("the name {host} can't be resolved", host=host),
            msg("add the name to /etc/hosts, or use the host's address"),
        ),
        (
            ("command not found", "docker: not found"),
            msg("Docker is not installed"),
            on_it + msg("install Docker 25 or newer"),
        ),
        (
            ("Cannot connect to the Docker daemon", "failed to connect to the docker API"),
            msg("Docker is not running"),
            on_it + "`systemctl status docker`",
        ),
        (
            ("Connection refused",),
            msg("ssh connections on port {port} are refused", port=port[1])
            if port is not None
            else msg("ssh connections are refused"),
            on_it + "`systemctl status ssh`",
        ),
        (("No route to host", "Network is unreachable"), msg("there is no route to the host"), cable),
        (
            ("timed out", "did not end within"),
            msg("no answer within {seconds:g} s", seconds=float(waited[1]))
            if waited is not None
            else msg("no answer"),
            cable,
        ),
        (
            ("too many authentication failures",),
            msg("ssh tries too many keys"),
            msg("set the right key in ~/.ssh/config: IdentityFile, IdentitiesOnly yes"),
        ),
    )
    for phrases, why, remedy in known:
        if any(words.lower() in said.lower() for words in phrases):
            return Refusal(why, remedy)
    if "stderr=" not in said and "\n" not in said and said:
        return Refusal(said)
    last = said.rpartition("stderr=")[2].strip().splitlines()
    return Refusal(last[-1] if last else msg("no answer"))
