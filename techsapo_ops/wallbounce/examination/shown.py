"""What others are shown of an answer: a bounded part of it, without the secrets that it may hold.

The user reads the whole of it. The bound holds for what is sent, so that what gradings and revisions can cost
is known before anybody answers.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import TypeVar

from techsapo_ops.adapters.delimiting import size_once
from techsapo_ops.wallbounce.answers import Answer, Critique, Peer
from techsapo_ops.wallbounce.providers.provider import Ask, AskAnswer, AskGrades, AskRevision

MAX_SHOWN = 16 * 1024
"""Bytes of one answer that others are shown: some 5,000 characters of Japanese, 16,000 of English."""
LONGEST_LINE = 600
"""Bytes of a root cause, a claim or a command; together they leave the text half of MAX_SHOWN."""
ALL_COMMANDS = 2_400
"""Bytes of all commands; those beyond are left out."""
LONGEST_OBJECTION = 3_000
"""Bytes of what peers hold against one claim."""
CUT = "…"
"""Stands where something was cut off."""


Said = TypeVar("Said", Peer, Answer)


async def masked(ask: Ask) -> Ask:
    """`ask` as it leaves for a vendor. The question was masked when it came; what others said of it is here.

    An answer may hold what its author knew from elsewhere, or made up: it is masked by the same words.
    """
    masker = ask.question.masker
    if not masker.works or isinstance(ask, AskAnswer):
        return ask
    for long in (*(ask.peers if isinstance(ask, AskGrades) else ()), ask.own):
        if long is not None:
            await masker.masked(long.text)  # the event loop turns meanwhile

    def said(each: Said) -> Said:
        return replace(
            each,
            text=masker.mask(each.text),
            root_cause=masker.mask(each.root_cause),
            claims=tuple(map(masker.mask, each.claims)),
            commands=tuple(map(masker.mask, each.commands)),
        )

    def critique(each: Critique) -> Critique:
        return Critique(masker.mask(each.claim), masker.mask(each.objection))

    return _changed(ask, said, said, critique)


def shown(ask: Ask) -> Ask:
    """`ask` with no more of anybody's answer than others are shown. It comes after masking.

    Cut before, half a secret would be left that no rule knows.
    """

    def critique(each: Critique) -> Critique:
        return Critique(_line(each.claim), cut(each.objection, LONGEST_OBJECTION))

    return _changed(ask, _peer, _answer, critique)


def _changed(
    ask: Ask,
    peer: Callable[[Peer], Peer],
    answer: Callable[[Answer], Answer],
    critique: Callable[[Critique], Critique],
) -> Ask:
    """`ask` with what it holds of others' answers changed."""
    match ask:
        case AskGrades(peers=peers, own=own):
            own = None if own is None else answer(own)
            return AskGrades(ask.question, tuple(map(peer, peers)), own, context=ask.context, limit=ask.limit)
        case AskRevision(own=own, critiques=critiques):
            return replace(ask, own=answer(own), critiques=tuple(map(critique, critiques)))
        case _:
            return ask


def cut(text: str, most: int) -> str:
    """`text` in at most `most` bytes as they are sent, CUT at its end where it is longer."""
    if size_once(text) <= most:
        return text
    room = most - size_once(CUT)
    end = bisect_right(range(min(len(text), most)), room, key=lambda n: size_once(text[: n + 1]))
    return text[:end] + CUT


def _peer(peer: Peer) -> Peer:
    text, cause, claims, commands = _parts(peer.text, peer.root_cause, peer.claims, peer.commands)
    return Peer(peer.label, text, cause, claims, commands, cut=text != peer.text)


def _answer(answer: Answer) -> Answer:
    text, cause, claims, commands = _parts(answer.text, answer.root_cause, answer.claims, answer.commands)
    return replace(answer, text=text, root_cause=cause, claims=claims, commands=commands)


@lru_cache(maxsize=16)  # all who grade in a round are shown the same answers
def _parts(
    text: str, root_cause: str, claims: tuple[str, ...], commands: tuple[str, ...]
) -> tuple[str, str, tuple[str, ...], tuple[str, ...]]:
    """The parts of one answer within MAX_SHOWN: the text has what the others leave."""
    cause, claims = _line(root_cause), tuple(map(_line, claims))
    listed: list[str] = []
    left = ALL_COMMANDS
    for command in map(_line, commands):
        left -= size_once(command)
        if left < 0:
            listed.append(CUT)
            break
        listed.append(command)
    return cut(text, MAX_SHOWN - size_once("".join((cause, *claims, *listed)))), cause, claims, tuple(listed)


def _line(text: str) -> str:
    return cut(text, LONGEST_LINE)
