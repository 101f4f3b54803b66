"""What is said where hosts do not answer, so that nothing can be told of what they have."""

from __future__ import annotations

from collections.abc import Mapping

from techsapo_ops.errors import OpsError
from techsapo_ops.messages import joined, msg

LOOK = msg("`techsapo hosts check` says what each host lacks; what runs goes on")


class HostsAway(OpsError):
    """Nothing can be told. `unreachable` has by name the hosts that did not answer, and why they did not."""

    def __init__(self, unreachable: Mapping[str, str]) -> None:
        self.unreachable = dict(unreachable)
        self.why = msg("{hosts} can't be reached", hosts=", ".join(unreachable))
        super().__init__(msg("the state of this stack is not known: {why}", why=self.why), LOOK)


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
        "{hosts} lacks this, and once it is back goes by what it had, until the next `techsapo up`, "
        "certificate, key or job brings it there",
        hosts="; ".join(f"{name} ({why})" for name, why in away.items()),
    )
