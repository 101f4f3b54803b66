"""Plain writes beside the traffic of a drill, as the kind makes them of which one leads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from techsapo_ops.stack.service import Service


class Writes(Protocol):
    """What was taken of them, in order, as the kind has it that leads."""

    @property
    def taken(self) -> Sequence[Any]:
        """Each of them."""
        ...

    @property
    def gap(self) -> float | None:
        """The longest time in seconds in which none was taken; None where there were fewer than two."""
        ...

    def lost(self, there: Sequence[int]) -> tuple[int, float]:
        """How many of them are not `there`, and over how many seconds they were taken."""
        ...

    def after(self, moment: float) -> float:
        """Seconds from `moment` until the last one was taken; 0 where none was after it."""
        ...


class Writer(Protocol):
    """Makes writes beside the traffic from `begin` on, to the service that leads then."""

    def begin(self, master: Service) -> None:
        """Start it."""
        ...

    @property
    def service(self) -> Service:
        """Where it writes from."""
        ...

    def found(self) -> Writes:
        """What was taken, at its end."""
        ...

    def there(self, master: Service, taken: Sequence[Any]) -> tuple[int, ...]:
        """The numbers of those writes that `master` has. Raises OpsError where it does not say."""
        ...
