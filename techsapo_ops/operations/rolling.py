"""App instances behind nginx are restarted in turn, each once nginx asks the last one again."""

from __future__ import annotations

import time
from collections.abc import Callable

from techsapo_ops.engines.base import Observed, State

RETURN_SECONDS = 5.5
"""How long nginx passes over an app instance that it could not reach: `fail_timeout=5s`, and a bit.

The next instance is restarted after that, or for a moment there would be none that nginx tries.
"""


class Rolling:
    """Told before each service is disturbed; waits where the one before was an app instance too.

    `before` is what ran at the start: without nginx in front nobody is spared anything. `pause` waits so
    many seconds, `say` is told why.
    """

    def __init__(
        self, before: Observed, say: Callable[[str], None], pause: Callable[[float], None] = time.sleep
    ) -> None:
        self._balanced = any(
            s.kind == "nginx" and s.state in {State.RUNNING, State.STARTING} for s in before.services.values()
        )
        self._say = say
        self._pause = pause
        self._disturbed = False

    def before(self, kind: str) -> None:
        """A running service of `kind` is about to be restarted."""
        if kind != "app" or not self._balanced:
            return
        if self._disturbed:
            self._say(f"waiting {RETURN_SECONDS:g} s until nginx asks the last instance again")
            self._pause(RETURN_SECONDS)
        self._disturbed = True
