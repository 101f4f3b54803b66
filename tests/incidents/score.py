"""How much of the decisive evidence is in a pack, and among its first ten pieces."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from techsapo_ops.incidents.bundle import Answer, Decisive, read_answer, read_bundle
from techsapo_ops.incidents.material import Kind, Material
from techsapo_ops.incidents.pack import pack_of
from techsapo_ops.masking.masker import Masker

FIRST = 10
SIZES = (8_000, 16_000, 24_000, 48_000)


@dataclass(frozen=True)
class Case:
    """A bundle whose decisive evidence is known."""

    name: str
    material: Material
    answer: Answer


Shown = tuple[Kind | str, str]
"""The kind and the text of something that is shown; a baseline that mixes kinds names none."""
Method = Callable[[Material, int], Sequence[Shown]]


def ours(material: Material, size: int) -> list[Shown]:
    """The pieces of our pack, as a person sees them."""
    masker = Masker("personal")
    return [
        (piece.kind, f"{piece.text}\n{piece.sample}") for piece in pack_of(material, size, masker.mask).pieces
    ]


def place(shown: Sequence[Shown], decisive: Decisive) -> int | None:
    """The number, from 1, of the first piece that is the decisive one; None where none is."""
    wanted = [text.casefold() for text in decisive.contains]
    for number, (kind, text) in enumerate(shown, 1):
        if kind in {decisive.kind, ""} and any(each in text.casefold() for each in wanted):
            return number
    return None


def places(case: Case, method: Method, size: int) -> list[int | None]:
    """As `place`, of each decisive piece."""
    shown = method(case.material, size)
    return [place(shown, decisive) for decisive in case.answer.decisive]


@dataclass
class Tally:
    """How many cases have all of their decisive pieces, or any, in the pack and among the first ten."""

    cases: int = 0
    all_in: int = 0
    any_in: int = 0
    all_first: int = 0
    any_first: int = 0

    def add(self, found: Sequence[int | None]) -> None:
        """Count one case."""
        first = [number is not None and number <= FIRST for number in found]
        present = [number is not None for number in found]
        self.cases += 1
        self.all_in += all(present)
        self.any_in += any(present)
        self.all_first += all(first)
        self.any_first += any(first)

    def line(self) -> str:
        """The shares, as the columns of a table."""
        shares = (self.all_in, self.any_in, self.all_first, self.any_first)
        return "  ".join(f"{share / max(self.cases, 1):5.2f}" for share in shares)


def cases_in(folder: Path) -> list[Case]:
    """The bundles below `folder` that have decisive evidence, by name."""
    cases = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        answer = read_answer(path) if path.is_dir() else None
        if answer is not None and answer.decisive:
            cases.append(Case(path.name, read_bundle(path), answer))
    return cases


def tally(cases: Iterable[Case], method: Method, size: int) -> Tally:
    """How `method` does on all `cases`."""
    counted = Tally()
    for case in cases:
        counted.add(places(case, method, size))
    return counted
