"""App instances behind nginx are restarted in turn, each once nginx asks the last one again."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

from techsapo_ops.messages import msg
from techsapo_ops.services.registry import kinds
from techsapo_ops.stack.observed import Observed
from techsapo_ops.stack.step import Action, Step

DISTURBING = (Action.RESTART, Action.RECREATE)
"""What a running service notices."""
RETURN_SECONDS = 6.5
"""How long nginx passes over an app instance that it could not reach: `fail_timeout=5s`, and a bit.

nginx counts in whole seconds and asks again once more than five of them are over, which takes up to six
(`now - peer->checked <= peer->fail_timeout` in ngx_http_upstream_round_robin.c). The next
instance is restarted after that, or for a moment there would be none that nginx tries.
"""
YOUNG_SECONDS = 30.0
"""An instance that was started less than that ago may have been ready for less than RETURN_SECONDS."""


class Rolling:
    """Told of each step before it is done; waits where an app instance would go while another is not back.

    `before` is what ran at the start: without nginx in front nobody is spared anything, and an instance that
    something else has just started counts too, be it an `up` that was killed, `restart` or the supervisor.
    `pause` waits so many seconds, `say` is told why, `now` tells the time.
    """

    def __init__(
        self,
        before: Observed,
        say: Callable[[str], None],
        pause: Callable[[float], None] = time.sleep,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        running = [s for s in before.services.values() if s.state.runs]
        at = now()
        ran = {s.kind for s in running}
        self._balanced = frozenset(k.balances for k in kinds() if k.balances and k.name in ran)
        self._young = {
            s.name
            for s in running
            if s.kind in self._balanced
            and s.started is not None
            and (at - s.started).total_seconds() < YOUNG_SECONDS
        }
        self._say = say
        self._pause = pause

    def before(self, step: Step, kind: str) -> None:
        """`step` is about to be done to a service of `kind`."""
        if kind not in self._balanced:
            return
        if step.action in DISTURBING and self._young - {step.service}:
            self._say(
                msg("waiting {seconds:g} s until nginx asks the last instance again", seconds=RETURN_SECONDS)
            )
            self._pause(RETURN_SECONDS)
            self._young.clear()
        if step.action in {Action.CREATE, *DISTURBING}:
            self._young.add(step.service)
