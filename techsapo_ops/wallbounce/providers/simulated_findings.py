"""What a simulated provider writes into a form about evidence: no finding, but the strongest pieces.

It names no cause of its own. What the first piece says stands as the cause, marked as simulated, beside the
next piece of another kind, so that who tries techsapo out sees a whole investigation.
"""

from __future__ import annotations

import json
import re

_PIECE = re.compile(r"^<([LMCH])(\d+)>\n(.*?)\n</\1\2>$", re.MULTILINE | re.DOTALL)
"""A block of observed evidence: its id, and on the lines after the first one what was seen."""
_UNSAID = re.compile(r"\\u[0-9a-f]{4}|[^\w\s.-]+")
"""What is escaped within a block, and what could be read as a command or an address."""
_LONGEST = 120


def findings(evidence: str, mark: str) -> str:
    """The reply to `evidence`, whose cause begins with `mark`: the form as JSON."""
    pieces: dict[str, tuple[str, str]] = {}
    for kind, number, text in _PIECE.findall(evidence):
        said = " ".join(_UNSAID.sub(" ", text.partition("\n")[2]).split())[:_LONGEST]
        if said:
            pieces.setdefault(kind, (f"{kind}{number}", said))
    cited = list(pieces.values())[:2]
    enough = len(cited) == 2
    causes = (
        [
            {
                "chain": [{"link": said, "evidence": [identity]} for identity, said in cited],
                "cause": f"{mark}{cited[0][1]}",
                "service": "",
                "against": [],
            }
        ]
        if enough
        else []
    )
    outcome = "cause" if enough else "not_enough_evidence"
    empty = {"missing": [], "checks": [], "runbook": "", "step": 0}
    return json.dumps({"causes": causes, "outcome": outcome, **empty}, ensure_ascii=False)
