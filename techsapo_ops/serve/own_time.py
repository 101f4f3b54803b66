"""What of a request's time is ours: until its stream begins to tell, or all but the wait for vendors."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from starlette.types import Scope

from techsapo_ops.wallbounce.vendor_wait import VendorWait

_STATE = "own_time"


@dataclass(slots=True)
class OwnTime:
    """The time of one request, from its coming on."""

    clock: Callable[[], float] = time.perf_counter
    wait: VendorWait | None = None
    """How long its analysis waited for vendors; None where it came to none."""
    elsewhere: bool = False
    """Whether it waits for what another request has begun: the time is that one's."""
    missed: float = 0.0
    """How long the event loop had not run when it came."""
    _started: float = field(init=False)
    _began: float | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._started = self.clock() - self.missed

    @classmethod
    def of(cls, scope: Scope) -> OwnTime:
        """That of the request of `scope`; one that nobody asks for where none was begun."""
        state = scope.setdefault("state", {})
        found: OwnTime = state.setdefault(_STATE, cls())
        return found

    @classmethod
    def begin(cls, scope: Scope, missed: float) -> OwnTime:
        """That of a request that is seen now, after the event loop did not run for `missed` seconds."""
        begun = scope["state"][_STATE] = cls(missed=missed)
        return begun

    def told(self) -> None:
        """The stream that answers it has its first event."""
        if self._began is None:
            self._began = self.clock()

    def seconds(self) -> float | None:
        """Our part until now; None where it is another request's."""
        if self.elsewhere:
            return None
        if self._began is not None:
            return self._began - self._started
        waited = self.wait.seconds() if self.wait is not None else 0.0
        return max(0.0, self.clock() - self._started - waited)
