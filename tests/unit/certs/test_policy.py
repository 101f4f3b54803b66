from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from rows import each_row

from techsapo_ops.certs.policy import renewal_time
from techsapo_ops.certs.self_signed import Authority, local_authority, sign

NOW = datetime(2026, 1, 1, tzinfo=UTC)
BACKDATED = timedelta(hours=1)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return local_authority(tmp_path_factory.mktemp("ca"), NOW)


def leaf(authority: Authority, days: int) -> x509.Certificate:
    return sign(["example.com"], authority, days=days, now=NOW + BACKDATED).leaf


@each_row("days, share", [(90, 1 / 3), (64, 1 / 3), (45, 1 / 3), (11, 1 / 3), (6, 1 / 2)])
def test_renewal_follows_the_life_of_the_certificate(authority: Authority, days: int, share: float) -> None:
    shown = leaf(authority, days)
    total = shown.not_valid_after_utc - shown.not_valid_before_utc
    left = (shown.not_valid_after_utc - renewal_time(shown)) / total
    assert share <= left <= share + 1 / 30


def test_renewals_of_certificates_made_together_are_spread(authority: Authority) -> None:
    times = {renewal_time(leaf(authority, 90)) for _ in range(20)}
    assert max(times) - min(times) > timedelta(hours=6)


@each_row("days, taken", [(-100, True), (40, True), (89, True), (90, False), (400, False)])
def test_the_ca_s_wish_decides_within_the_life(authority: Authority, days: int, taken: bool) -> None:
    shown = leaf(authority, 90)
    wish = NOW + timedelta(days=days, hours=2)
    assert renewal_time(shown, wish) == (wish if taken else renewal_time(shown))


def test_for_a_life_of_days_the_ca_s_wish_does_not_count(authority: Authority) -> None:
    shown = leaf(authority, 6)
    assert renewal_time(shown, NOW) == renewal_time(shown)
