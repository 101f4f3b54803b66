"""What was found out about a piece of shell or SQL."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from techsapo_ops.catalogue.commands import Effect, danger

_WORST_FIRST = tuple(Effect)


@dataclass(frozen=True, slots=True)
class Hazard:
    """A dangerous command within a line: its kind in dangers.yaml, one effect of it, and its text."""

    kind: str
    effect: Effect
    command: str


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a command as the shell hands it on.

    `fixed`: nothing in it is put in when it runs. `operand`: it is no option, whatever is put in.
    """

    text: str
    fixed: bool = True
    operand: bool = False


@dataclass(frozen=True, slots=True)
class Judgement:
    """Whether all of a piece is known to only read, what in it is dangerous, and which commands it runs."""

    reads: bool
    hazards: tuple[Hazard, ...] = ()
    commands: tuple[tuple[Word, ...], ...] = ()

    @property
    def effects(self) -> tuple[Effect, ...]:
        """Everything that it does, the worst first; never empty."""
        found = {h.effect for h in self.hazards}
        if found or not self.reads:
            found.add(Effect.UNKNOWN) if not found else None
            return tuple(e for e in _WORST_FIRST if e in found)
        return (Effect.READS_ONLY,)

    @property
    def effect(self) -> Effect:
        """The worst of it."""
        return self.effects[0]

    @classmethod
    def of(cls, parts: Iterable[Judgement], *, reads: bool = True) -> Judgement:
        """The parts of a line together: it only reads if each of them does."""
        every = tuple(parts)
        return cls(
            reads and all(p.reads for p in every),
            tuple(dict.fromkeys(h for p in every for h in p.hazards)),
            tuple(c for p in every for c in p.commands),
        )

    def unknown(self) -> Judgement:
        """The same without being called safe."""
        return Judgement(False, self.hazards, self.commands)


UNKNOWN = Judgement(False)
READS = Judgement(True)


def hazardous(kind: str, command: str) -> Judgement:
    """A dangerous command of that kind."""
    text = " ".join(command.split())
    return Judgement(False, tuple(Hazard(kind, effect, text) for effect in danger(kind).effects))
