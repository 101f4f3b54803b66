"""What a rule over the whole spec sees, and what it finds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.models.root import ExposureName
from techsapo_ops.spec.problems import Path


@dataclass(frozen=True, slots=True)
class Context:
    """What rules see beside the spec: the environment that it is used in, and what was disabled and why."""

    environment: str | None
    disabled: dict[str, str]
    written: Callable[[Path], bool]
    """Whether the file gives the value at a path."""
    given: Callable[[Path], object] = lambda _: None
    """The value at a path as it is given, also where it is wrong: of an environment with its overlay."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule found at `path`; `uses` are further paths it depends on."""

    path: Path
    message: str
    hint: str = ""
    uses: tuple[Path, ...] = ()
    warning: bool = False


@dataclass(frozen=True, slots=True)
class Exposure:
    """Something that others than intended may reach, or that nobody would hear of; `accepted` is the reason
    for which it is meant.

    `uses` are the paths on which it rests, as of a Finding.
    """

    rule: ExposureName
    path: Path
    message: str
    hint: str
    uses: tuple[Path, ...] = ()
    accepted: str | None = None


Rule = Callable[[Spec, Context], Iterable[Finding]]
