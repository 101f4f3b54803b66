"""One step of a plan: what is done to a service, and why."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from techsapo_ops.messages import msg

if TYPE_CHECKING:
    from techsapo_ops.stack.desired import Desired


class Action(StrEnum):
    """What a step does to a service."""

    CREATE = "create"
    RECREATE = "recreate"
    RESTART = "restart"
    RELOAD = "reload"
    REMOVE = "remove"
    NOTHING = "nothing"

    @property
    def done(self) -> str:
        """What was done, in words: `restarted`."""
        return _DONE[self]


_DONE = {
    Action.CREATE: msg("started"),
    Action.RECREATE: msg("started anew"),
    Action.RESTART: msg("restarted"),
    Action.RELOAD: msg("reloaded"),
    Action.REMOVE: msg("removed"),
    Action.NOTHING: msg("unchanged"),
}


class Performer(Protocol):
    """Who performs steps: see stack.engine.Running."""

    def perform(
        self, step: Step, desired: Desired | None, say: Callable[[str], None], together: Sequence[Step] = ()
    ) -> None:
        """Do `step`."""


@dataclass(frozen=True, slots=True)
class Step:
    """One action on one service, and why: it says what it does, and does it."""

    action: Action
    service: str
    reason: str

    def perform(
        self,
        running: Performer,
        desired: Desired | None = None,
        say: Callable[[str], None] = lambda _: None,
        together: Sequence[Step] = (),
    ) -> None:
        """Do it on `running`; see Running.perform, which raises the same."""
        running.perform(self, desired, say, together)


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps in the order in which they are performed; NOTHING steps are listed too."""

    steps: tuple[Step, ...]

    @property
    def changes(self) -> tuple[Step, ...]:
        """The steps that do something."""
        return tuple(s for s in self.steps if s.action is not Action.NOTHING)
