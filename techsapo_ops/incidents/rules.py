"""The member of the panel that is no model: it names the cause of which most kinds of evidence speak.

It cites the best piece of each kind that speaks of it, and abstains where no two kinds do. Its words
are the catalogue's, so that no text of the evidence can change them.
"""

from __future__ import annotations

from techsapo_ops.catalogue.topics import topics, topics_in
from techsapo_ops.incidents.evidence import Piece
from techsapo_ops.incidents.findings import Claim, Findings, Link
from techsapo_ops.incidents.grounds import OBSERVED, SUPPORT
from techsapo_ops.incidents.material import Kind
from techsapo_ops.incidents.question import Inquiry
from techsapo_ops.incidents.verdict import RULES


def findings_by_rules(inquiry: Inquiry) -> Findings:
    """What the rules find."""
    best: dict[str, dict[Kind, Piece]] = {}
    for piece in sorted(inquiry.pack.pieces, key=lambda piece: -piece.score):
        if piece.kind in OBSERVED and not piece.calm:
            for topic in topics_in(inquiry.grounds.texts[piece.id]):
                if not topics()[topic].effect:
                    best.setdefault(topic, {}).setdefault(piece.kind, piece)
    shared = {topic: kinds for topic, kinds in best.items() if len(kinds) >= SUPPORT}
    if not shared:
        return Findings(RULES, abstains=True)
    topic = max(shared, key=lambda each: (len(shared[each]), sum(p.score for p in shared[each].values())))
    pieces = tuple(shared[topic].values())
    title = topics()[topic].title[inquiry.language]
    service = next((piece.service for piece in pieces if piece.service), "")
    links = tuple(Link(title, (piece.id,)) for piece in pieces)
    ids = tuple(piece.id for piece in pieces)
    return Findings(RULES, (Claim(RULES, 1, title, service, links, ids),))
