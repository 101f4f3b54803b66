"""`python -m tests.recall FILE`: how much masking takes out of lines that it was not tuned on.

The file is a list as in tests/cases/masking_heldout.yaml: `line`, and under `secrets` the parts of it that
must be masked, none for an ordinary line. Its author has seen neither the rules nor the other labelled lines.
It is opened once, after the rules have reached main, and what this prints goes into decision 16, whatever it
is. From then on it is one more file of cases, and says nothing of new lines once a rule is changed by it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.masking.masker import mask

CASES = Path(__file__).parent / "cases"


@dataclass(frozen=True)
class Recall:
    """How many secrets and ordinary lines there are, and which of them masking got wrong."""

    secrets: int
    ordinary: int
    leaked: tuple[tuple[str, str], ...]
    """Each secret that was not masked, with its line."""
    changed: tuple[tuple[str, str], ...]
    """Each ordinary line that was changed, with what became of it."""


def recall(cases: Iterable[dict[str, Any]]) -> Recall:
    """What `mask: secrets` makes of labelled lines. Raises ValueError for a secret that its line lacks."""
    secrets, ordinary = [], []
    for case in cases:
        line = case["line"]
        if not case["secrets"]:
            ordinary.append((line, mask(line, "secrets")))
        for secret in map(str, case["secrets"]):
            if secret not in line:
                raise ValueError(f"{secret!r} is labelled, and not in {line!r}")
            secrets.append((secret, line))
    return Recall(
        len(secrets),
        len(ordinary),
        tuple((secret, line) for secret, line in secrets if secret in mask(line, "secrets")),
        tuple((line, masked) for line, masked in ordinary if masked != line),
    )


def labelled(path: Path) -> list[dict[str, Any]]:
    """The labelled lines of a file of cases."""
    data = read_yaml(path.read_text(encoding="utf-8"))
    if isinstance(data, list):
        return data
    return [*data["secrets"], *({"line": line, "secrets": []} for line in data["ordinary"])]


def unseen(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of `path` that are in no other file of cases, each once."""
    others = [each for each in CASES.glob("masking*.yaml") if each.resolve() != path.resolve()]
    seen = {case["line"] for each in others for case in labelled(each)}
    for case in labelled(path):
        if case["line"] not in seen:
            seen.add(case["line"])
            yield case


def main(words: Sequence[str]) -> int:
    """Print the recall on the file that is named."""
    if len(words) != 1:
        print("usage: python -m tests.recall FILE", file=sys.stderr)
        return 2
    all_lines, cases = len(labelled(Path(words[0]))), list(unseen(Path(words[0])))
    result = recall(cases)
    masked, same = result.secrets - len(result.leaked), result.ordinary - len(result.changed)
    print(f"{len(cases)} lines, and {all_lines - len(cases)} that were labelled before")
    print(f"secrets masked: {masked} of {result.secrets} ({100 * masked / max(result.secrets, 1):.1f} %)")
    print(f"ordinary lines as they were: {same} of {result.ordinary}")
    for secret, line in result.leaked:
        print(f"leaked {secret!r} of {line!r}")
    for line, after in result.changed:
        print(f"changed {line!r} to {after!r}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
