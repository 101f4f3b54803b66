"""What a rule over the whole spec sees, and what it finds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from techsapo_ops.spec.edition import LATEST, PRODUCTION, Deployment, Edition, edition_of
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.problems import Path


@dataclass(frozen=True, slots=True)
class Context:
    """What rules see beside the spec: where it is used, and what was disabled and why."""

    deployment: Deployment
    disabled: dict[str, str]
    written: Callable[[Path], bool]
    """Whether the file gives the value at a path."""

    @property
    def strict(self) -> bool:
        """Whether the rules of environment production apply."""
        return self.deployment.environment == PRODUCTION

    def edition(self, spec: Spec) -> Edition:
        """Which edition of the defaults holds; a spec that is looked at alone is taken for a new stack's."""
        where = self.deployment
        return edition_of(spec.edition, where.environment, where.began_with or LATEST)


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule found at `path`; `uses` are further paths it depends on."""

    path: Path
    message: str
    hint: str = ""
    uses: tuple[Path, ...] = ()
    warning: bool = False


Rule = Callable[[Spec, Context], Iterable[Finding]]
