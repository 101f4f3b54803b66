"""The receiver that docs/three-machines.md shows: a repeat after a partition is no news."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

IsNews = Callable[..., bool]
PAGES = ("three-machines.md", "three-machines.ja.md")


def code(page: Path) -> str:
    return re.findall(r"^```python\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)[
        0
    ]


@pytest.fixture
def is_news(repository: Path) -> IsNews:
    found: dict[str, Any] = {}
    exec(code(repository / "docs" / PAGES[0]), found)  # noqa: S102 - what our own page shows
    made: IsNews = found["is_news"]
    return made


def message(status: str = "firing", group: str = "AppDown", **prints: str) -> dict[str, Any]:
    alerts = [{"fingerprint": p, "status": s} for p, s in (prints or {"1a": status}).items()]
    return {"receiver": "critical", "groupKey": group, "status": status, "alerts": alerts}


def test_both_languages_show_the_same(repository: Path) -> None:
    assert code(repository / "docs" / PAGES[0]) == code(repository / "docs" / PAGES[1])


def test_the_same_once_more_is_no_news_whatever_order_its_alerts_are_in(
    is_news: IsNews, tmp_path: Path
) -> None:
    memory = sqlite3.connect(tmp_path / "told", isolation_level=None)
    assert is_news(message(a="firing", b="firing"), memory)
    assert not is_news(message(b="firing", a="firing"), memory)
    assert is_news(message(group="RedisDown"), memory)


def test_an_end_another_alert_and_the_next_time_are_news(is_news: IsNews, tmp_path: Path) -> None:
    memory = sqlite3.connect(tmp_path / "told", isolation_level=None)
    course = [message(), message(a="firing", b="firing"), message("resolved"), message()]
    assert [is_news(each, memory) for each in course] == [True] * 4


def test_what_is_said_again_after_its_time_is_news(is_news: IsNews, tmp_path: Path) -> None:
    memory = sqlite3.connect(tmp_path / "told", isolation_level=None)
    assert [is_news(message(), memory, seconds=-1) for _ in range(2)] == [True, True]


def test_of_two_instances_that_hear_it_at_once_one_tells(is_news: IsNews, tmp_path: Path) -> None:
    def hear(_: int) -> bool:
        memory = sqlite3.connect(tmp_path / "told", isolation_level=None, timeout=60)
        try:
            return is_news(message(), memory)
        finally:
            memory.close()

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(hear, range(16))) == 1
