"""What every kind that is restored into the running stack knows to do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from techsapo_ops.backup.manifest import Part
from techsapo_ops.backup.repository import Backup
from techsapo_ops.operations.backup.sources import Stack

Told = Callable[[str, int], None]


@dataclass(frozen=True, slots=True)
class Target:
    """A file that a restore is about; `what` is `new`, `replaced`, `the same`, or `left`, and then `why`."""

    path: str
    what: str
    why: str = ""


class Live(ABC):
    """One kind of data in the running stack. Every method may raise OpsError."""

    named_only = False
    """Whether `--only` has to name it: what it replaces is seldom what anyone wants to lose."""
    stops_app = True
    """Whether the app is stopped meanwhile."""
    restarts = False
    """Whether its own service is stopped meanwhile."""
    beside = False
    """Whether what is replaced lies beside the new until `done`; else the safety backup brings it back."""
    offsite = False
    """Whether it is off-site alone, not in the folder of the backup."""

    def service(self, kind: str) -> str:
        """The service that has to run, empty where none has to."""
        return kind.partition(":")[2] or kind

    def homeless(self, stack: Stack, kind: str) -> str:
        """Why this stack has no place for it; empty where it has one."""
        service = self.service(kind)
        if not service or stack.topology.find(service) is not None:
            return ""
        return f"this stack has no {service} any more"

    def elsewhere(self, stack: Stack, backup: Backup) -> Part | None:  # noqa: ARG002 - see below
        """What `backup` has of it off-site; None for what is in the folder of the backup or nowhere."""
        return None

    @abstractmethod
    def present(self, stack: Stack, part: Part) -> tuple[str, str]:
        """Program and version that holds the data now, and what it holds: nothing where that is empty."""

    def targets(self, stack: Stack, part: Part) -> tuple[Target, ...]:  # noqa: ARG002 - see below
        """Every file that would be written, where it is this process that writes files; else none."""
        return ()

    def require(self, stack: Stack, backup: Backup, part: Part) -> None:  # noqa: B027 - most need nothing
        """Raise OpsError where `part` could not be used here."""

    @abstractmethod
    def bring(self, stack: Stack, backup: Backup, part: Part, told: Told) -> None:
        """Replace what is there by `part`, and let its service go on with it."""

    @abstractmethod
    def differences(self, stack: Stack, part: Part) -> list[str]:
        """How what is there differs from the facts of `part`."""

    def back(self, stack: Stack, kind: str) -> None:  # noqa: B027 - for those that keep it beside
        """Bring back what lies beside; nothing where the work had not come so far."""

    def done(self, stack: Stack, kind: str) -> None:  # noqa: B027 - likewise
        """Remove what lies beside."""
