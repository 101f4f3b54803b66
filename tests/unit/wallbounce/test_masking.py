from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from techsapo_ops.wallbounce.masking import luhn, mask, my_number

CASES = yaml.safe_load((Path(__file__).parents[2] / "cases" / "masking.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", CASES, ids=lambda c: c["text"][:40])
def test_secrets_and_personal_data_are_masked_and_nothing_else(case: dict[str, str]) -> None:
    assert mask(case["text"]).text == case.get("masked", case["text"])


@given(st.integers(0, 10**11 - 1))
def test_of_the_ten_last_digits_exactly_one_makes_a_my_number(body: int) -> None:
    assert sum(my_number(f"{body:011d}{last}") for last in range(10)) == 1


@given(st.integers(0, 10**15 - 1))
def test_of_the_ten_last_digits_exactly_one_passes_luhn(body: int) -> None:
    assert sum(luhn(f"{body:015d}{last}") for last in range(10)) == 1


@given(st.text(max_size=300))
def test_masking_twice_changes_nothing_more(text: str) -> None:
    once = mask(text).text
    assert mask(once).text == once


def test_what_was_found_is_counted_by_kind() -> None:
    assert mask("a@example.com b@example.com password=x").found == {"EMAIL": 2, "SECRET": 1}
