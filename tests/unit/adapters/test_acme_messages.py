from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from acme.client import _renewal_info_path_component
from rows import each_row

from techsapo_ops.adapters.acme_messages import pause, renewal_id, retry_at
from techsapo_ops.adapters.acme_words import explain, words
from techsapo_ops.certs.self_signed import local_authority, sign

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@each_row(
    "header, at",
    [
        (None, None),
        ("120", NOW + timedelta(seconds=120)),
        ("Thu, 01 Jan 2026 01:00:00 GMT", NOW + timedelta(hours=1)),
        ("soon", None),
        ("9" * 30, NOW + timedelta(days=366)),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str | None, at: datetime | None) -> None:
    assert retry_at(header, NOW) == at


def test_the_ca_s_wish_is_the_least_pause_and_a_minute_the_longest() -> None:
    assert pause(0, 0) == 0.05
    assert pause(0, 3) == 3
    assert pause(50, 0) < 60
    assert pause(0, 3600) == 60


def test_the_renewal_id_is_the_one_that_the_acme_library_makes(tmp_path: Path) -> None:
    for _ in range(8):
        leaf = sign(["example.com"], local_authority(tmp_path, NOW), now=NOW).leaf
        assert renewal_id(leaf) == _renewal_info_path_component(leaf)


def test_sub_problems_are_told_by_name() -> None:
    problem = {
        "detail": "Some were refused",
        "subproblems": [{"identifier": {"value": "a.example"}, "detail": "CAA forbids"}, {"title": "Other"}],
    }
    assert words(problem) == "Some were refused; a.example: CAA forbids; Other"


def test_a_rate_limit_says_until_when_and_how_to_try_without_it() -> None:
    message, hint = explain("ca.example", "rateLimited", "too many", NOW)
    assert "2026-01-01 00:00:00 UTC" in message
    assert "staging" in hint
    assert explain("ca.example", "newCode", "so", None) == ("ca.example refuses: so (newCode)", "")
