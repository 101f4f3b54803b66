"""What a rule over the whole spec sees, and what it finds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.problems import Path

PRODUCTION = "production"


@dataclass(frozen=True, slots=True)
class Context:
    """What rules see beside the spec: the chosen environment, and what was disabled and why."""

    environment: str | None
    disabled: dict[str, str]
    written: Callable[[Path], bool]
    """Whether the file gives the value at a path."""

    @property
    def strict(self) -> bool:
        """Whether the rules of environment production apply."""
        return self.environment == PRODUCTION


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule found at `path`; `uses` are further paths it depends on."""

    path: Path
    message: str
    hint: str = ""
    uses: tuple[Path, ...] = ()
    warning: bool = False


Rule = Callable[[Spec, Context], Iterable[Finding]]
