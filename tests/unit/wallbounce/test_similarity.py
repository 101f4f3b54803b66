from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rows import each_row

from techsapo_ops.wallbounce.examination.claims import cosine, grams
from techsapo_ops.wallbounce.question import language_of


def alike(a: str, b: str) -> float:
    return cosine(grams(a), grams(b))


def test_the_same_text_is_wholly_alike_in_any_width_case_or_spacing_and_another_is_not() -> None:
    assert alike("ＮＧＩＮＸ を再起動", "nginxを  再起動\n") == pytest.approx(1)
    assert alike("ディスクの空き容量が不足", "証明書を更新する") == 0


@given(st.text(max_size=60), st.text(max_size=60))
def test_likeness_is_symmetric_and_between_0_and_1(a: str, b: str) -> None:
    assert 0 <= alike(a, b) <= 1
    assert alike(a, b) == pytest.approx(alike(b, a))


@given(st.text("aあ１b ", max_size=60), st.text("aあ１b ", max_size=60))
def test_texts_of_which_all_pairs_of_characters_are_alike_are_at_least_half_as_much_alike(
    a: str, b: str
) -> None:
    """So the screen need not count their 3-grams."""
    pairs = cosine(grams(a, longer=False), grams(b, longer=False))
    assert alike(a, b) >= pairs / 2 - 1e-9


@each_row(
    "text, language",
    [
        ("Dockerコンテナが起動しない", "ja"),
        ("接続拒否", "ja"),
        ("ｻｰﾊﾞｰ down", "ja"),
        ("nginx answers 502", "en"),
        ("502 / 503?", "ja"),
        ("", "ja"),
        ("naïve café", "en"),
    ],
)
def test_kana_kanji_or_no_letter_at_all_make_a_question_japanese(text: str, language: str) -> None:
    assert language_of(text) == language
