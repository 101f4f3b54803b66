"""What a provider is asked, without the secrets that its peers' answers may hold."""

from __future__ import annotations

from dataclasses import replace

from techsapo_ops.wallbounce.answers import Answer
from techsapo_ops.wallbounce.asks import Ask, AskGrades, AskRevision
from techsapo_ops.wallbounce.grades import Critique, Peer
from techsapo_ops.wallbounce.masking import Masker


def masked(ask: Ask) -> Ask:
    """`ask` as it leaves for a vendor. The question was masked when it came; what others said of it is here.

    An answer may hold what its author knew from elsewhere, or made up: it is masked by the same words.
    """
    masker = ask.question.masker
    if not masker.works:
        return ask
    match ask:
        case AskGrades(peers=peers, own=own):
            shown = tuple(_peer(peer, masker) for peer in peers)
            return replace(ask, peers=shown, own=None if own is None else _answer(own, masker))
        case AskRevision(own=own, critiques=critiques):
            told = tuple(Critique(masker.mask(c.claim), masker.mask(c.objection)) for c in critiques)
            return replace(ask, own=_answer(own, masker), critiques=told)
        case _:
            return ask


def _peer(peer: Peer, masker: Masker) -> Peer:
    return replace(
        peer,
        text=masker.mask(peer.text),
        root_cause=masker.mask(peer.root_cause),
        claims=tuple(map(masker.mask, peer.claims)),
        commands=tuple(map(masker.mask, peer.commands)),
    )


def _answer(answer: Answer, masker: Masker) -> Answer:
    return replace(
        answer,
        text=masker.mask(answer.text),
        root_cause=masker.mask(answer.root_cause),
        claims=tuple(map(masker.mask, answer.claims)),
        commands=tuple(map(masker.mask, answer.commands)),
    )
