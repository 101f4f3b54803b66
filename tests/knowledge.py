"""`python -m tests.knowledge`: how often a question finds the part of the team's own pages that answers it.

The pages and the questions are in tests/cases/knowledge. The product's own documentation and runbooks are
searched beside them, in both languages: pages about similar things, of which none is the answer.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.incidents.knowledge import Knowledge, current
from techsapo_ops.incidents.material import Page

CASES = Path(__file__).parent / "cases" / "knowledge"
ROOT = Path(__file__).parent.parent
OWN = ("runbooks/", "wiki/")
OTHERS = (f"{ROOT}/docs/", f"{ROOT}/techsapo_ops/catalogue/runbooks/")
MOST = 5


@dataclass(frozen=True)
class Case:
    """A question, and the file and heading of its answer; both are empty where there is none."""

    ask: str
    file: str = ""
    heading: str = ""

    def place(self, pages: Sequence[Page]) -> int | None:
        """At which place of `pages`, from 1, the answer is."""
        for place, page in enumerate(pages, 1):
            if page.file == self.file and page.heading.rpartition(" > ")[2] == self.heading:
                return place
        return None


def cases() -> list[Case]:
    """All questions."""
    data = read_yaml((CASES / "questions.yaml").read_text(encoding="utf-8"))
    return [*(Case(**each) for each in data["answered"]), *map(Case, data["unanswered"])]


def knowledge(folder: Path, patterns: Sequence[str] = (*OWN, *OTHERS)) -> Knowledge:
    """The pages, in an index in `folder`."""
    return current(folder / "knowledge.sqlite", patterns, CASES)


@dataclass(frozen=True)
class Recall:
    """Shares of the questions: whose answer is first, and among the first MOST; and what else was given."""

    first: float
    among: float
    missed: tuple[Case, ...]
    needless: float
    """Parts that a question without an answer was given, on average."""


def recall(index: Knowledge) -> Recall:
    """How well `index` answers."""
    answered = [case for case in cases() if case.file]
    places = {case: case.place(index.search(case.ask, MOST)) for case in answered}
    without = [index.search(case.ask, MOST) for case in cases() if not case.file]
    return Recall(
        sum(place == 1 for place in places.values()) / len(places),
        sum(place is not None for place in places.values()) / len(places),
        tuple(case for case, place in places.items() if place is None),
        sum(map(len, without)) / len(without),
    )


def main() -> int:
    """Print the shares, and what was missed."""
    with TemporaryDirectory() as folder:
        index = knowledge(Path(folder))
        result = recall(index)
        print(f"{index.files} files, {len(cases())} questions")
        print(f"the answer is first: {result.first:.3f}, among the first {MOST}: {result.among:.3f}")
        print(f"parts given where there is no answer: {result.needless:.1f}")
        for case in result.missed:
            print(f"missed: {case.ask} ({case.file}, {case.heading})")
            for page in index.search(case.ask, MOST):
                print(f"  {page.file}: {page.heading}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
