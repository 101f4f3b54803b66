"""What is quick about masking changes nothing of what it finds."""

from __future__ import annotations

import asyncio

import pytest
from plain_masking import TEXTS, PlainMasker, plain_strong, texts

from techsapo_ops.masking import MaskLevel
from techsapo_ops.masking.masker import Masker
from techsapo_ops.masking.values import strong

OF_ONE_QUESTION = 7


def test_masking_makes_of_3500_texts_what_rules_make_of_them_that_are_tried_everywhere() -> None:
    these = list(texts())
    assert len(these) == TEXTS
    for first in range(0, TEXTS, OF_ONE_QUESTION):
        level: MaskLevel = "personal" if first % 2 else "secrets"
        masker, plain = Masker(level), PlainMasker(level)
        for text in these[first : first + OF_ONE_QUESTION]:
            assert masker.mask(text) == plain.mask(text)


def test_a_value_is_strong_by_the_same_signs_as_when_each_is_looked_at() -> None:
    words = sorted({word for text in texts() for word in text.split()})
    assert {word for word in words if strong(word)} == {word for word in words if plain_strong(word)}


def test_the_event_loop_turns_while_a_text_is_masked_once_for_all_who_wait_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("techsapo_ops.masking.masker.TURN", 0.0)
    text, whole = next(texts()), Masker("secrets")
    expected = whole.mask(text)

    async def wait() -> None:
        masker = Masker("secrets")
        first, second, third = (asyncio.create_task(masker.masked(text)) for _ in range(3))
        await asyncio.sleep(0)
        assert not first.done()
        first.cancel()  # who goes away leaves the rest of the work to the others
        assert await second == await third == masker.mask(text) == expected
        assert first.cancelled()
        assert masker.counts == whole.counts

    asyncio.run(wait())
