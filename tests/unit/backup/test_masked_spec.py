"""A masked spec gets the secrets of the present one, each at its own place, or is refused."""

from __future__ import annotations

import pytest
from rows import each_row

from techsapo_ops.backup.masked_spec import filled
from techsapo_ops.errors import OpsError

PRESENT = """\
project: lab
redis: {password: 'it''s hard', port: 1}   # s3cret
notifications:
  receivers:
    team: {kind: slack, url: "https://hooks.example.com/a"}
    mail: {kind: email, to: ops@example.com}
  critical: [team, mail]
providers:
  鍵: {kind: openai, model: gpt-6.1-sol, api_key: sk-1}
"""


def test_each_masked_value_is_written_as_the_present_spec_writes_it() -> None:
    backed_up = """\
redis:
  port: 2
  password: "********"
providers: {鍵: {kind: openai, api_key: "********"}, other: {kind: simulated}}
# comments keep "********"
notifications: {receivers: {team: {kind: slack, url: "********"}}}
"""
    assert filled(backed_up, PRESENT, "techsapo.yaml") == (
        """\
redis:
  port: 2
  password: 'it''s hard'
providers: {鍵: {kind: openai, api_key: sk-1}, other: {kind: simulated}}
# comments keep "********"
notifications: {receivers: {team: {kind: slack, url: "https://hooks.example.com/a"}}}
"""
    )


@each_row(
    "backed_up, present, place",
    [
        ('mysql: {password: "********"}\n', PRESENT, "techsapo.yaml:1 mysql.password"),
        ('redis:\n  password: "********"\n', "", "techsapo.yaml:2 redis.password"),
        ('redis: {password: "********"}\n', 'redis: {password: "********"}\n', "redis.password"),
        # The receiver is of another kind now: its URL is not this one's.
        (
            'notifications: {receivers: {team: {kind: webhook, url: "********"}}}\n',
            PRESENT,
            "techsapo.yaml:1 notifications.receivers.team.url",
        ),
        (
            'notifications: {receivers: {other: {kind: slack, url: "********"}}}\n',
            PRESENT,
            "notifications.receivers.other.url",
        ),
    ],
)
def test_a_secret_that_is_not_there_is_named_by_its_place(backed_up: str, present: str, place: str) -> None:
    with pytest.raises(OpsError, match="is masked in the backup") as caught:
        filled(backed_up, present, "techsapo.yaml")
    assert place in caught.value.message
    assert "off-site" in caught.value.hint


def test_a_spec_without_masks_stays_byte_for_byte() -> None:
    assert filled(PRESENT, "", "techsapo.yaml") == PRESENT
