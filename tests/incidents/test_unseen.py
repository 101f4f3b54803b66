"""The bundles of somebody who had not seen the code are small, and the pack holds what settles them."""

from __future__ import annotations

from pathlib import Path

from techsapo_ops.incidents.evidence import PACK_BYTES
from tests.incidents.score import FIRST, cases_in, ours, places

UNSEEN = Path(__file__).parent / "unseen"
CASES = cases_in(UNSEEN)
MOST_BYTES = 200_000


def test_there_are_twelve_unseen_bundles_each_below_200_kb() -> None:
    assert len(CASES) == 12
    for case in CASES:
        files = (UNSEEN / case.name).iterdir()
        assert sum(file.stat().st_size for file in files) <= MOST_BYTES, case.name
        assert case.material.start < case.material.subject.began < case.material.end


def test_of_twelve_unseen_bundles_ten_have_what_is_decisive_in_the_pack_and_eight_among_the_first_ten() -> (
    None
):
    found = [places(case, ours, PACK_BYTES) for case in CASES]
    assert sum(None not in numbers for numbers in found) >= 10
    assert sum(all(number is not None and number <= FIRST for number in numbers) for numbers in found) >= 8
