"""What a recovery that is through has brought back, and how long it took."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from techsapo_ops.stores.keys import ApiKey

DATA_MINUTES, WHOLE_MINUTES = 15, 60
"""The guide's numbers: the data is back, and the whole service."""
DATA_STEPS = ("fetch", "place", "hosts", "up", "restore")


@dataclass(frozen=True, slots=True)
class Recovered:
    """A recovery that is through. `remaining` is what did not work, and what to try."""

    spec: str
    backup: str
    snapshot: str
    seconds: Mapping[str, float]
    status: str
    remaining: tuple[tuple[str, str], ...]
    data_of: str
    """The moment of the data (ISO 8601, UTC)."""
    keys: tuple[ApiKey, ...]
    """The API keys that work."""
    since_began: float = 0.0
    """Seconds since it was first asked for, with what was waited for, cut short and done again."""

    @property
    def data_seconds(self) -> float:
        """Until all data was back and compared."""
        return round(sum(self.seconds.get(step, 0.0) for step in DATA_STEPS), 3)

    @property
    def whole_seconds(self) -> float:
        """Until the whole service was."""
        return round(sum(self.seconds.values()), 3)
