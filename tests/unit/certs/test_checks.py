from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rows import each_row

from techsapo_ops.certs.checks import problems, require
from techsapo_ops.certs.material import Pair, covers
from techsapo_ops.certs.self_signed import local_authority, sign
from techsapo_ops.errors import OpsError

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NAMES = ["example.com", "*.example.com"]


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return sign(NAMES, local_authority(tmp_path, NOW), now=NOW)


def test_a_good_pair_has_no_problem(pair: Pair) -> None:
    assert problems(pair, ["example.com", "www.EXAMPLE.com", "*.example.com"], NOW) == ()


def test_every_problem_is_named_at_once(pair: Pair, tmp_path: Path) -> None:
    other = sign(["other.example"], local_authority(tmp_path / "other", NOW), now=NOW)
    leaf, _, _ = pair.chain.partition(b"-----END CERTIFICATE-----\n")
    wrong = Pair(other.key, leaf + b"-----END CERTIFICATE-----\n" + other.chain)
    with pytest.raises(OpsError) as caught:
        require(wrong, ["a.b.example.com"], NOW + timedelta(days=91))
    for why in (
        "another certificate",
        "did not sign number 1",
        "expired on 2026-04-01",
        "not for a.b.example.com",
    ):
        assert why in caught.value.message


def test_a_clock_that_is_behind_is_asked_about_and_a_few_minutes_are_forgiven(pair: Pair) -> None:
    begins = pair.leaf.not_valid_before_utc
    assert problems(pair, [], begins - timedelta(minutes=4)) == ()
    (why,) = problems(pair, [], begins - timedelta(days=1))
    assert "clock says" in why


@each_row(
    "key, why",
    [(b"hello", "not PEM"), (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "not PEM")],
)
def test_a_key_that_can_not_be_read_says_so(pair: Pair, key: bytes, why: str) -> None:
    with pytest.raises(OpsError, match=why):
        problems(Pair(key, pair.chain), [], NOW)


@each_row(
    "wanted, good",
    [
        ("example.com", True),
        ("www.example.com", True),
        ("*.example.com", True),
        ("a.b.example.com", False),
        ("*.www.example.com", False),
        ("com", False),
        ("badexample.com", False),
    ],
)
def test_a_star_stands_for_one_label(wanted: str, good: bool) -> None:
    assert covers(NAMES, wanted) is good
