"""Incidents of cases.yaml and of recorded bundles as packs, and what a reader of their evidence knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from techsapo_ops.catalogue.checks import Known
from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.incidents.bundle import read_answer, read_bundle
from techsapo_ops.incidents.evidence import Pack, Piece
from techsapo_ops.incidents.material import LETTERS, Kind, Subject
from techsapo_ops.incidents.pack import pack_of
from techsapo_ops.incidents.question import Inquiry, Language
from techsapo_ops.masking.masker import Masker

HERE = Path(__file__).parent
BUNDLES = HERE.parent / "bundles"
UNSEEN = HERE.parent / "unseen"
SIZE = 16_000
"""Bytes of a bundle's pack."""
BEGAN = datetime(2026, 12, 1, 3, 10, tzinfo=UTC)
KNOWN = Known(frozenset({"app", "nginx", "redis", "mysql"}), frozenset({"db-1", "web-2"}))
PLACES = ("logs", "annotation", "alert", "event", "runbook", "knowledge")
"""Where somebody else's text gets into an investigation."""
_PIECES: Mapping[str, tuple[Kind, str]] = {
    "logs": ("logs", "/var/log/other.log"),
    "event": ("changes", "events"),
    "runbook": ("runbook", "own.md: Check"),
    "knowledge": ("knowledge", "wiki/page.md: Notes"),
}


@dataclass(frozen=True, slots=True)
class Case:
    """One incident: what is asked, what is known of its cause, and what is said of it without a look."""

    name: str
    inquiry: Inquiry
    answer: Mapping[str, Any]
    favourite: Mapping[str, str]

    def injected(self, text: str, place: str) -> Case:
        """The same incident, with `text` written by somebody at `place`."""
        pack = self.inquiry.pack
        if place in _PIECES:
            kind, source = _PIECES[place]
            number = sum(piece.kind == kind for piece in pack.pieces) + 1
            added = Piece(f"{LETTERS[kind]}{number}", kind, source, text, 10.0)
            pack = replace(pack, pieces=(added, *pack.pieces))
        else:
            field = {"annotation": "summary", "alert": "alert"}[place]
            pack = replace(pack, subject=replace(pack.subject, **{field: text}))
        return replace(self, inquiry=replace(self.inquiry, pack=pack))


def cases() -> list[Case]:
    """All of cases.yaml."""
    return [_case(row) for row in read_yaml((HERE / "cases.yaml").read_text(encoding="utf-8"))]


def bundles(folder: Path = BUNDLES) -> list[Case]:
    """The recorded bundles with an answer. What distracts in one is the favourite of who reads nothing."""
    paths = sorted(folder.iterdir()) if folder.is_dir() else []
    return [case for path in paths if path.is_dir() and (case := _bundle(path)) is not None]


def injections() -> list[str]:
    """All of injections.yaml."""
    texts: list[str] = read_yaml((HERE / "injections.yaml").read_text(encoding="utf-8"))
    return texts


def _bundle(path: Path) -> Case | None:
    answer = read_answer(path)
    if answer is None:
        return None
    pack = pack_of(read_bundle(path), SIZE, Masker("personal").mask)
    distractor = next(iter(answer.distractors), f"A deploy of {answer.service} broke it.")
    favourite = {"cause": distractor, "service": ""}
    return Case(path.name, Inquiry(pack, "en", str, KNOWN), asdict(answer), favourite)


def _case(row: Mapping[str, Any]) -> Case:
    about = {**row["subject"]}
    names = {name: frozenset(about.pop(name, ())) for name in ("services", "hosts")}
    pieces = tuple(Piece(**piece, at=BEGAN) for piece in row["pieces"])
    pack = Pack(Subject(BEGAN, **about, **names), pieces, ("prometheus",), ())
    language: Language = row.get("language", "en")
    return Case(row["name"], Inquiry(pack, language, str, KNOWN), row["answer"], row["favourite"])
