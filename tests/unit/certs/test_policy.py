from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st
from rows import each_row

from techsapo_ops.certs.policy import Window, renewal_time
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


@given(start=st.integers(-100, 100), length=st.integers(0, 50))
def test_the_ca_s_window_decides_wherever_it_lies_within_the_life(start: int, length: int) -> None:
    shown = FIXED
    window = Window(NOW + timedelta(days=start), NOW + timedelta(days=start + length))
    chosen = renewal_time(shown, window)
    assert chosen == renewal_time(shown, window)
    if window.end > shown.not_valid_before_utc and window.start < shown.not_valid_after_utc:
        assert max(window.start, shown.not_valid_before_utc) <= chosen
        assert chosen <= min(window.end, shown.not_valid_after_utc)
    else:
        assert chosen == renewal_time(shown)


def test_a_window_that_is_longer_than_a_short_life_is_no_wish(authority: Authority) -> None:
    shown = leaf(authority, 6)
    around = Window(NOW - timedelta(days=1), NOW + timedelta(days=1))
    assert renewal_time(shown, around) == renewal_time(shown)


def _fixed() -> x509.Certificate:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        return leaf(local_authority(Path(folder), NOW), 90)


FIXED = _fixed()
