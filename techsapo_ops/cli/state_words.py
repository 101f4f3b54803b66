"""States and what is done to a service, as words for people; --json keeps the names that the code has."""

from __future__ import annotations

from techsapo_ops.messages import msg

_STATES = {
    str(word): word
    for word in (
        msg("running"), msg("starting"), msg("stopped"), msg("backoff"), msg("crashed"), msg("ready"),
        msg("healthy"), msg("degraded"), msg("down"), msg("absent"), msg("untested"), msg("failed"),
        msg("missing"), msg("warning"), msg("note"), msg("attention"), msg("skipped"), msg("rolled-back"),
        msg("firing"), msg("pending"), msg("silenced"), msg("inhibited"), msg("quiet"), msg("off"),
        msg("unknown"), msg("unreachable"), msg("active"), msg("revoked"), msg("expired"), msg("installed"),
    )
}  # fmt: skip
_ACTIONS = {
    str(word): word
    for word in (
        msg("create"), msg("recreate"), msg("restart"), msg("reload"), msg("remove"), msg("nothing"),
        msg("added"), msg("changed"), msg("removed"), msg("edited"),
    )
}  # fmt: skip
STATE_COLUMNS = frozenset({"state", "status", "result"})
"""Headings of the columns that hold states."""


def state_word(state: str) -> str:
    """A state as it is told: a message where it is one that we know, else itself."""
    return _STATES.get(str(state), state)


def action_word(action: str) -> str:
    """What a step does to a service or a file, or has done: a message where we know it, else itself."""
    return _ACTIONS.get(str(action), action)
