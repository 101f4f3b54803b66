"""What a provider is asked, and what comes back."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf
from typing import ClassVar

from techsapo_ops.wallbounce.answers import Answer
from techsapo_ops.wallbounce.context import AnalysisContext
from techsapo_ops.wallbounce.delimiting import UNSEEN, WIDE
from techsapo_ops.wallbounce.events import Phase
from techsapo_ops.wallbounce.grades import Critique, Grades, Peer
from techsapo_ops.wallbounce.question import Question


@dataclass(frozen=True, slots=True)
class _Asked:
    """What every ask has."""

    question: Question
    context: AnalysisContext = field(default=AnalysisContext(), kw_only=True)
    """The analysis that the call is part of."""
    limit: float = field(default=inf, kw_only=True)
    """Seconds that the analysis waits, beside the provider's own time-out."""
    due: float = field(default=inf, kw_only=True)
    """When the provider is late by its own time-out, in the event loop's time."""


@dataclass(frozen=True, slots=True)
class AskAnswer(_Asked):
    """Answer the question, without a look at anybody else's answer. The reply is an Answer."""

    phase: ClassVar[Phase] = "answer"

    @property
    def shown(self) -> int:
        """Bytes that are sent beside the question."""
        return 0


@dataclass(frozen=True, slots=True)
class AskGrades(_Asked):
    """Grade the peers' answers, measured by the `own` answer where there is one. The reply is Grades.

    Peer text reaches the vendor as delimited data, never as an instruction.
    """

    peers: Sequence[Peer]
    own: Answer | None = None
    phase: ClassVar[Phase] = "grade"

    @property
    def shown(self) -> int:
        """Bytes that are sent beside the question."""
        peers = sum(size(p.text, p.root_cause, *p.claims, *p.commands) for p in self.peers)
        return peers + (answer_size(self.own) if self.own is not None else 0)


@dataclass(frozen=True, slots=True)
class AskRevision(_Asked):
    """Answer once more, knowing what peers hold against the `own` answer. The reply is an Answer."""

    own: Answer
    critiques: Sequence[Critique]
    phase: ClassVar[Phase] = "revise"

    @property
    def shown(self) -> int:
        """Bytes that are sent beside the question."""
        return sum(size(c.claim, c.objection) for c in self.critiques) + answer_size(self.own)


_ESCAPED = bytes(range(32)) + b'<"\\\x7f'
"""Quotes and backslashes are sent with one byte more, a line's end too, all else of these with up to five."""
_ESCAPED_BY = 5
_RARE = re.compile(f"[\x80{UNSEEN[1:]}{WIDE}]")
"""Characters beyond ASCII that are sent as six bytes or, the last ones of all, as twelve."""
_RARE_BY = 8

Ask = AskAnswer | AskGrades | AskRevision
Reply = Answer | Grades


def answer_size(answer: Answer) -> int:
    """Bytes of `answer` where it is shown to others."""
    return size(answer.text, answer.root_cause, *answer.claims, *answer.commands)


def size(*texts: str) -> int:
    """Bytes of `texts` as they are sent: in UTF-8, within JSON, delimited."""
    text = "".join(texts)
    raw = text.encode(errors="surrogatepass")
    escaped = len(raw) - len(raw.translate(None, _ESCAPED))
    if escaped:
        twice = raw.count(b'"') + raw.count(b"\\")
        escaped = _ESCAPED_BY * (escaped - twice) + twice
    if not text.isascii():
        escaped += _RARE_BY * len(_RARE.findall(text))
    return len(raw) + escaped + _ESCAPED_BY * (text.count("&") + text.count("["))


def widest(text: str) -> int:
    """Most bytes that any character of `text` is sent as."""
    return 6 if text.isascii() or _RARE.search(text) is None else 4 + _RARE_BY
