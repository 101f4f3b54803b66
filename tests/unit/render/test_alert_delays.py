"""What the docs say of the time from a cause to its notification."""

from __future__ import annotations

from pathlib import Path

from alert_delays import at_most, rows
from rows import each_row

from techsapo_ops.catalogue.alerts import alerts


@each_row(
    "page, locale",
    [
        ("alerts.md", "en"),
        ("alerts.ja.md", "ja"),
        ("three-machines.md", "en"),
        ("three-machines.ja.md", "ja"),
    ],
)
def test_the_docs_say_for_each_alert_how_long_it_takes_at_most(
    page: str, locale: str, repository: Path
) -> None:
    lines = (repository / "docs" / page).read_text(encoding="utf-8").splitlines()
    table = rows(locale, machines=page.startswith("three"))
    missing = [row for row in table if row not in lines]
    assert missing == [], "the table has these rows:\n" + "\n".join(table)


def test_what_cuts_users_off_is_told_within_two_minutes_or_when_it_has_lasted() -> None:
    assert at_most(alerts()["NginxDown"]) == 70
    assert at_most(alerts()["ProviderDown"]) == 30
    assert at_most(alerts()["AppDown"]) == 90
