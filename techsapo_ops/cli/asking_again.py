"""A question that is sent again once, by the same Idempotency-Key: it is answered, and paid, once."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

from techsapo_ops.adapters.http import Unreachable, Untrusted
from techsapo_ops.cli.output import Output
from techsapo_ops.messages import msg

PASSING = frozenset({502, 503, 504})
"""Statuses of answers after which a question is sent again."""
PAUSE = 1.0
"""Seconds until then: what ended is back, or nginx knows that it is not."""


@dataclass(slots=True)
class Twice:
    """One question, and whether it may be sent again: once, and not where half of `patience` is gone.

    `patience` is in seconds.
    """

    patience: float
    pause: Callable[[float], None] = time.sleep
    key: str = field(default_factory=lambda: str(uuid.uuid4()))
    _began: float = field(default_factory=time.monotonic)
    _again: bool = False

    @property
    def headers(self) -> dict[str, str]:
        """What the question carries each time."""
        return {"Idempotency-Key": self.key}

    def after(self, failure: Unreachable | int) -> bool:
        """Whether to send it again after this failure, or status: then it is told, and the pause is over."""
        passing = failure in PASSING if isinstance(failure, int) else not isinstance(failure, Untrusted)
        late = time.monotonic() - self._began >= self.patience / 2
        if self._again or not passing or late:
            return False
        self._again = True
        told = msg("HTTP {failure}", failure=failure) if isinstance(failure, int) else failure.reason
        Output().say(msg("no answer ({told}); asking once more", told=told))
        self.pause(PAUSE)
        return True
