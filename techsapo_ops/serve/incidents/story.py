"""How far an investigation has come, by its time line, and verdicts that are drawn anew."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from techsapo_ops.adapters.terminal import harmless
from techsapo_ops.catalogue.checks import checks
from techsapo_ops.catalogue.topics import plain
from techsapo_ops.catalogue.translations import Language
from techsapo_ops.incidents.evidence import Pack, Piece
from techsapo_ops.incidents.findings import Findings
from techsapo_ops.incidents.material import LETTERS
from techsapo_ops.incidents.question import Inquiry
from techsapo_ops.incidents.verdict import Struck, Verdict, topics_of, verdict_of
from techsapo_ops.stores.incidents.rows import Entry

Mask = Callable[[str], str]
LONGEST_OUTPUT = 4_000
"""Characters of an output that are kept: its beginning."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A verdict, and what it was drawn from: it can be drawn anew without another question to anybody.

    `failed` are providers and why they gave nothing; `declined` says why none was asked; `simulated` whether
    only simulated ones were.
    """

    verdict: Verdict
    findings: tuple[Findings, ...]
    failed: tuple[tuple[str, str], ...] = ()
    declined: str = ""
    simulated: bool = False


@dataclass(frozen=True, slots=True)
class Story:
    """What the time line holds. `sent` has by message what became of it, `open` whether a verdict is due."""

    pack: Pack | None = None
    drawn: Drawn | None = None
    open: bool = True
    sent: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    last: int = 0

    @classmethod
    def of(cls, entries: Sequence[Entry]) -> Story:
        """The story of a time line. A verdict that has ended an earlier question counts no more."""
        pack, drawn, due, sent = None, None, True, dict[str, Any]()
        for entry in entries:
            match entry.kind:
                case "evidence":
                    pack = _read(Pack, entry.text)
                case "verdict":
                    drawn = _read(Drawn, entry.text)
                    due = drawn is not None and drawn.verdict.spent
                case "stopped":
                    due = False
                case "message":
                    said = json.loads(entry.text)
                    sent[said["message"]] = {**sent.get(said["message"], {}), **said}
        return cls(pack, drawn, due, sent, entries[-1].number if entries else 0)

    def struck(self, struck: Struck, language: Language) -> Drawn:
        """The verdict without one more cause. There has to be one."""
        assert self.drawn is not None  # noqa: S101 - the caller has looked
        return self._anew(self.pack, (*self.drawn.verdict.struck, struck), language)

    def checked(
        self, check: str, output: str, now: datetime, language: Language, mask: Mask
    ) -> tuple[Pack, Drawn]:
        """Evidence and verdict with what a check printed, which may rule causes out."""
        assert self.drawn is not None  # noqa: S101 - likewise
        assert self.pack is not None  # noqa: S101 - likewise
        verdict = self.drawn.verdict
        argv = next((each.argv for each in verdict.checks if each.check == check), (check,))
        pack = with_output(self.pack, argv, output, now, mask)
        ruled_out = struck_by(check, output, verdict, " ".join(argv))
        return pack, self._anew(pack, (*verdict.struck, *ruled_out), language)

    def _anew(self, pack: Pack | None, struck: tuple[Struck, ...], language: Language) -> Drawn:
        assert self.drawn is not None  # noqa: S101 - likewise
        assert pack is not None  # noqa: S101 - likewise
        drawn = self.drawn
        verdict = verdict_of(drawn.findings, Inquiry(pack, language, str), struck)
        return Drawn(verdict, drawn.findings, drawn.failed, drawn.declined, drawn.simulated)


def with_output(
    pack: Pack, argv: Sequence[str], output: str, at: datetime, mask: Callable[[str], str]
) -> Pack:
    """`pack` with what the command `argv` printed at `at` as its first piece, of the kind host.

    Nobody knows yet what it says, and it was asked for: it counts as much as the strongest piece.
    """
    letter = LETTERS["host"]
    number = max((int(p.id[1:]) for p in pack.pieces if p.id[0] == letter), default=0) + 1
    score = max((piece.score for piece in pack.pieces), default=0.0)
    text = mask(harmless(output))[:LONGEST_OUTPUT]
    return replace(
        pack, pieces=(Piece(f"{letter}{number}", "host", " ".join(argv), text, score, at), *pack.pieces)
    )


def struck_by(check: str, output: str, verdict: Verdict, reason: str) -> tuple[Struck, ...]:
    """The causes of `verdict` that what `check` printed rules out, of those that it was to test."""
    tested = {place for each in verdict.checks if each.check == check for place in each.tests}
    causes = (cause for place, cause in enumerate(verdict.causes) if place in tested)
    return tuple(
        Struck(cause.cause, cause.service, cause.evidence, reason)
        for cause in causes
        if checks()[check].rules_out(topics_of(cause), plain(output))
    )


def document_of(value: Pack | Drawn) -> dict[str, Any]:
    """Evidence or a verdict as plain data."""
    kind: type = type(value)
    document: dict[str, Any] = _adapter(kind).dump_python(value, mode="json")
    return document


def text_of(value: Pack | Drawn) -> str:
    """Evidence or a verdict as an entry of the time line has it."""
    kind: type = type(value)
    text: bytes = _adapter(kind).dump_json(value)
    return text.decode()


def _read(kind: Any, text: str) -> Any:
    """What an entry holds; None where a version of another form has written it."""
    try:
        return _adapter(kind).validate_json(text)
    except ValidationError:
        return None


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
