"""What of a recovery card is to be typed."""

from __future__ import annotations

import re

_STEP = re.compile(r"^(\d)\. ")


def steps(card: str) -> dict[int, str]:
    """What is to be typed, by the number of the step."""
    found: dict[int, list[str]] = {}
    number = 0
    for line in card.splitlines():
        if heading := _STEP.match(line):
            number = int(heading[1])
        elif number and line.startswith("  "):
            found.setdefault(number, []).append(line[2:])
        else:
            number = 0
    return {key: "\n".join(lines) + "\n" for key, lines in found.items()}
