"""What is made of the numbers that a vendor counts."""

from __future__ import annotations

import pytest

from techsapo_ops.serve.answer_body import tokens_body
from techsapo_ops.wallbounce.answers import Tokens
from techsapo_ops.wallbounce.providers.base import tokens_of


def test_parts_of_the_input_and_the_thinking_within_the_output_are_kept_apart() -> None:
    found = tokens_of(1000, 300, 200, cache_written=100, thinking=250)
    assert found == Tokens(1000, 300, cached=200, cache_written=100, thinking=250)


def test_a_part_larger_than_its_whole_counts_as_all_of_it() -> None:
    assert tokens_of(10, 5, 99, cache_written=99, thinking=99) == Tokens(10, 5, 10, 0, 5)
    assert tokens_of(10, 5, 4, cache_written=99) == Tokens(10, 5, 4, 6)


@pytest.mark.parametrize("odd", [-1, 2**31, 1.5, "7", None])
def test_what_is_no_count_makes_the_whole_count_unknown(odd: object) -> None:
    assert tokens_of(10, 5, 0, cache_written=odd) is None
    assert tokens_of(10, 5, 0, thinking=odd) is None


def test_an_answers_document_tells_thinking_and_cache_apart() -> None:
    body = tokens_body(Tokens(1000, 300, cached=200, cache_written=100, thinking=250)).document()
    assert body == {"input": 1000, "output": 300, "cached": 200, "cache_written": 100, "thinking": 250}
