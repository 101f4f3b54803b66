"""The question to each provider: instructions, the evidence as material, and the form of the reply.

The form is short, so that small models on one's own machine can fill it in, and it is the same for every
incident: some vendors compile it. All who are asked are sent the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any, Literal

from techsapo_ops.adapters.delimiting import delimited
from techsapo_ops.catalogue.checks import Check, Known, checks
from techsapo_ops.catalogue.yaml_text import packaged_yaml
from techsapo_ops.incidents.evidence import Pack, Piece
from techsapo_ops.incidents.grounds import OBSERVED, Grounds
from techsapo_ops.incidents.material import Subject

Language = Literal["en", "ja"]
MOST_CAUSES = 3
MOST_CHECKS = 4
NAME = "findings"
"""Name of the form."""
LONGEST_REPLY = 8_192
"""Tokens of a reply, thinking included. All are reserved, and few models write more before the deadline."""
_MOST_NAMES = 30
"""Hosts, and services, that checks can be about: of a storm there are hundreds."""


@dataclass(frozen=True)
class Inquiry:
    """What is asked about `pack`, in which language. `known` are the names that a check may take.

    The pieces are masked already; `mask` does it to what else is sent.
    """

    pack: Pack
    language: Language
    mask: Callable[[str], str]
    known: Known = field(default_factory=Known)

    @cached_property
    def grounds(self) -> Grounds:
        """What the pieces hold."""
        return Grounds(self.pack, self.known)


def _object(**properties: Any) -> dict[str, Any]:
    """An object in the subset of JSON Schema that every vendor's strict mode takes."""
    required = list(properties)
    return {
        "type": "object", "properties": properties, "required": required, "additionalProperties": False,
    }  # fmt: skip


def _list(of: Any) -> dict[str, Any]:
    return {"type": "array", "items": of}


_TEXT = {"type": "string"}
_NUMBER = {"type": "integer"}
FORM: Mapping[str, Any] = _object(
    causes=_list(
        _object(
            chain=_list(_object(link=_TEXT, evidence=_list(_TEXT))),
            cause=_TEXT,
            service=_TEXT,
            against=_list(_TEXT),
        )
    ),
    outcome={"type": "string", "enum": ["cause", "false_alarm", "not_enough_evidence"]},
    missing=_list(_object(kind={"type": "string", "enum": sorted(OBSERVED)}, of=_TEXT)),
    checks=_list(_object(check=_TEXT, slots=_list(_object(slot=_TEXT, value=_TEXT)), cause=_NUMBER)),
    runbook=_TEXT,
    step=_NUMBER,
)
"""The chain comes before the cause: a model writes in this order, and would fit a chain to a cause. Nothing
but causes and links is in its own words."""


@cache
def _texts() -> Mapping[Language, Mapping[str, str]]:
    words: Mapping[Language, Mapping[str, str]] = packaged_yaml("question.yaml", "techsapo_ops.incidents")
    return words


def system_of(inquiry: Inquiry) -> str:
    """The instructions, with the checks that can be proposed here: their names tell enough to choose."""
    texts = _texts()[inquiry.language]
    listed = ", ".join(_call(check) for check in checks().values() if _possible(check, inquiry.known))
    return f"{texts['task']}\n{texts['checks']} {listed}"


def user_of(inquiry: Inquiry) -> str:
    """The subject, the names for checks, which come from its labels, what could not be read, and every piece,
    each in a block that its text can't end.
    """
    pack, names = inquiry.pack, "\n".join(_names(inquiry.known))
    unread = "\n".join(f"{each.source}: {each.reason}" for each in pack.unread)
    blocks = [delimited("alert", inquiry.mask("\n".join(_about(pack.subject))))]
    blocks += [delimited("names", inquiry.mask(names))] if names else []
    blocks += [delimited("not_read", inquiry.mask(unread))] if unread else []
    return "\n".join((*blocks, *(delimited(piece.id, piece_text(piece)) for piece in pack.pieces)))


def piece_text(piece: Piece) -> str:
    """A piece as it is sent: where and when on its first line, then its text and its sample."""
    at = piece.at.isoformat(timespec="seconds") if piece.at is not None else ""
    where = " · ".join(filter(None, (piece.source, piece.service, piece.host, at)))
    return "\n".join(filter(None, (where, piece.text, piece.sample)))


def _about(subject: Subject) -> Iterator[str]:
    labels = " ".join(f"{name}={value}" for name, value in sorted(subject.labels.items()))
    parts = (subject.alert, labels, subject.summary, subject.expression, subject.question)
    yield from filter(None, parts)
    yield f"began {subject.began.isoformat(timespec='seconds')}"
    if subject.ended is not None:
        yield f"ended {subject.ended.isoformat(timespec='seconds')}"


def _names(known: Known) -> Iterator[str]:
    for slot, each in (("host", known.hosts), ("service", known.services)):
        if each:
            yield f"{slot}: {', '.join(sorted(each)[:_MOST_NAMES])}"


def _possible(check: Check, known: Known) -> bool:
    """Whether there is a name for its slots: without one, no value would be taken."""
    names = {"host": known.hosts, "service": known.services}
    return all(names.get(slot, True) for slot in check.slots)


def _call(check: Check) -> str:
    return f"{check.name}({', '.join(check.slots)})" if check.slots else check.name
