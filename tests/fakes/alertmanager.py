"""An Alertmanager in memory, as strict with silences as the real one: its clock decides, none ends twice."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from techsapo_ops.adapters.alertmanager import Alert, Alertmanager, Matcher, Silence
from techsapo_ops.adapters.http import Unreachable
from techsapo_ops.adapters.monitoring_server import ApiError

URL = "http://alertmanager.test"


class FakeAlertmanager(Alertmanager):
    """`held` are the alerts that it has; `before` is called before each request, and may raise."""

    def __init__(self, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        super().__init__(URL)
        self.held: Sequence[Alert] = ()
        self.clock = clock
        self.before: Callable[[str], None] = lambda _: None
        self._silences: dict[str, Silence] = {}

    def alerts(self) -> tuple[Alert, ...]:
        self.before("alerts")
        return tuple(self.held)

    def silences(self) -> tuple[Silence, ...]:
        self.before("silences")
        return tuple(map(self._told, reversed(self._silences.values())))

    def silence(
        self, matchers: Sequence[Matcher], starts: datetime, ends: datetime, created_by: str, comment: str
    ) -> str:
        self.before("silence")
        if ends <= max(starts, self.clock()):
            raise ApiError(f"{URL}: HTTP 400: end time can't be in the past")
        made = f"silence-{len(self._silences)}"
        starts = max(starts, self.clock())
        self._silences[made] = Silence(made, tuple(matchers), starts, ends, created_by, comment, "")
        return made

    def expire(self, silence: str) -> None:
        self.before("expire")
        known = self._silences[silence]
        if self._told(known).state == "expired":
            raise ApiError(f"{URL}: HTTP 500: silence {silence} already expired")
        self._silences[silence] = dataclasses.replace(known, ends=self.clock())

    @property
    def active(self) -> list[Silence]:
        """The silences that hold now, the oldest first."""
        told = map(self._told, self._silences.values())
        return [silence for silence in told if silence.state == "active"]

    def _told(self, silence: Silence) -> Silence:
        now = self.clock()
        state = "expired" if silence.ends <= now else "pending" if silence.starts > now else "active"
        return dataclasses.replace(silence, state=state)


def gone(_: str) -> None:
    """For `before`: nobody answers."""
    raise Unreachable(URL, "connection refused")
