"""The report as people read it, in both languages: a week in which everything happened, and the first one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fakes.debian import Debian, package_lists
from fakes.open_stacks import Seen, open_stack
from fakes.weeks import Full, Unused
from rows import each_row
from stacks import THREE_INSTANCES, host, spec, topology

from techsapo_ops.adapters.prometheus import Prometheus, Sample, Series
from techsapo_ops.adapters.textfile import Sample as Told
from techsapo_ops.adapters.textfile import write_textfile
from techsapo_ops.catalogue.models import End, Source
from techsapo_ops.operations.report import kept, measured, section
from techsapo_ops.operations.report.page import COLUMNS, width, wrapped
from techsapo_ops.operations.report.report import Report, report_of
from techsapo_ops.schedule.runs import Run, Runs
from techsapo_ops.stack.observed import ObservedService, State
from techsapo_ops.stack.stack import Stack
from techsapo_ops.stores.audit.rows import Call, Request, Rows

NOW = datetime(2026, 11, 30, 8, 0, tzinfo=UTC)
MODEL = {"kind": "openai", "model": "gpt-4-0613", "api_key": "sk-x"}
PAGES = {
    "en": """\
shop: report of 2026-11-23 to 2026-11-30
• Cost: $18.40 for 3 questions up to 2026-11-29 (UTC);
   $9.20 in the time before (+100%)
   26% of the month's budget of $70.00
   claude $12.40 (+35%), gpt $6.00 (nothing before)
   $0.40 of it is simulated: nobody paid it
• Refused questions: 3 for the budget (used up 3)
   12 for rate limits (plan free 12)
• Declined answers: 1 of 3 up to 2026-11-29 (UTC)
• Down: redis 10 min
   nothing was measured for 2 h of it
• Noisy alerts: LlmErrorsHigh 2×, 20 min in all (acknowledged by hanako)
• Backups: newest of 2026-11-30 03:00, none was restored on trial
• Drills: none was made yet
• Jobs: 1 of 2 runs failed (backup 1×)
• Certificates: site ends first, on 2026-12-04 20:00 (in 4 days)
   need a look: site
• Model retirements: gpt (gpt-4-0613) on 2027-01-15, then gpt-6.1-sol
• Updates: wait for a restart: nginx
   newer packages: libssl3t64 (security), libc6, redis-server
   security updates of other packages on this host: 1
   the package lists are 12 days old: apt-get update""",
    "ja": """\
shop の週次レポート 2026-11-23〜2026-11-30
・費用：2026-11-29（UTC）までに $18.40、質問 3 件。前の期間は $9.20（+100%）
   月の予算 $70.00 の 26%
   claude $12.40（+35%）、gpt $6.00（前の期間は 0）
   うち $0.40 は模擬プロバイダーの分で、実際には支払っていません
・断った質問：予算により 3 件（使い切り 3）
   レート制限により 12 件（プラン free 12）
・控えた回答：2026-11-29（UTC）までの 3 件のうち 1 件
・停止：redis 10 分
   期間のうち 2 時間は測定がありません
・多かったアラート：LlmErrorsHigh 2 回、計 20 分（対応：hanako）
・バックアップ：最新は 2026-11-30 03:00、試しに復元できたものはありません
・訓練：まだ行っていません
・ジョブ：2 回のうち失敗 1 回（backup 1 回）
・証明書：最も早い期限は site の 2026-12-04 20:00（残り 4 日）
   要確認：site
・モデルの提供終了：gpt（gpt-4-0613）2027-01-15。後継は gpt-6.1-sol
・更新：再起動待ち：nginx
   新しい版があるパッケージ：libssl3t64（セキュリティ）、libc6、redis-server
   このホストのほかのパッケージにもセキュリティ更新 1 件
   パッケージ一覧は 12 日前のものです（apt-get update で更新）""",
}
FIRST = {
    "en": """\
shop: report of 2026-11-23 to 2026-11-30
• Cost: no questions up to 2026-11-29 (UTC), nothing spent
• Refused questions: none
• Declined answers: no questions up to 2026-11-29 (UTC)
• Down: nothing for a minute or longer
   measured since 2026-11-30 07:30; of before nothing is known
• Noisy alerts: none fired
• Backups: there is none
• Drills: none was made yet
• Jobs: no run is recorded
• Certificates: none in the spec
• Model retirements: none is announced
• Updates: not known whether a service waits for a restart (job drift)
   newer packages are not known, there are no package lists: apt-get update""",
    "ja": """\
shop の週次レポート 2026-11-23〜2026-11-30
・費用：2026-11-29（UTC）までの質問はなく、費用もかかっていません
・断った質問：ありません
・控えた回答：2026-11-29（UTC）までの質問はありません
・停止：1 分以上応答しなかったものはありません
   測定は 2026-11-30 07:30 からです。それより前のことは分かりません
・多かったアラート：発生しませんでした
・バックアップ：一つもありません
・訓練：まだ行っていません
・ジョブ：実行の記録がありません
・証明書：仕様ファイルにありません
・モデルの提供終了：発表されているものはありません
・更新：再起動が必要なサービスは未確認です（ジョブ drift が調べます）
   新しい版は不明です。パッケージ一覧がありません（apt-get update で取得）""",
}

UNMEASURED = {
    "en": "Prometheus measured nothing in this time",
    "ja": "この期間、Prometheus は何も測定していません",
}


@pytest.fixture(autouse=True)
def no_alertmanager(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measured, "alertmanager_of", lambda _: None)


class Week(Full):
    """A week in which something of everything happened, but for two hours without a look."""

    def query(self, expression: str) -> tuple[Sample, ...]:
        if "budget_refusals" in expression:
            return super().query(expression)
        if "rate_limit" in expression:
            return (Sample({"plan": "free"}, 12, 0),)
        if "acknowledged" in expression:
            return (Sample({"alert": self.name, "by": "hanako"}, 1, 0),)
        return (Sample({"job": "redis"}, 40, 0),)

    def query_range(self, expression: str, start: float, end: float, step: float) -> tuple[Series, ...]:
        if "ALERTS" in expression:
            return super().query_range(expression, start, end, step)[:1]
        looks = (start + n * step for n in range(2016) if not 100 <= n < 124)
        return (Series({}, dict.fromkeys(looks, 1.0)),)


def made(
    tmp_path: Path, locale: str, server: Prometheus, **sections: Any
) -> tuple[Stack, Callable[[], Report]]:
    """A stack with Redis and nginx on a Debian host, and what makes its report."""
    binaries = {name: f"/nowhere/{name}" for name in host().binaries}
    wanted = spec(project="shop", locale=locale, app=THREE_INSTANCES, **sections)
    where = topology(wanted, tmp_path, facts=replace(host(), binaries=binaries))
    stack = open_stack(where, runner=Debian())
    return stack, lambda: report_of(stack, NOW, server=server)


@pytest.fixture
def everything(monkeypatch: pytest.MonkeyPatch) -> None:
    """Costs, a backup that is unproved, a certificate that ends soon, and a model that retires."""
    days = {"2026-11-24": 12.0, "2026-11-26": 6.0, "2026-11-29": 0.4, "2026-11-20": 9.2}
    asked = tuple(
        Request(day, usd, "miss", ("claude",), 0.9, 0.7, day != "2026-11-26", usd < 1)
        for day, usd in days.items()
    )
    calls = tuple(
        Call("gpt" if usd == 6 else "claude", "m", day, 1, 0, 1, 1, usd) for day, usd in days.items()
    )
    monkeypatch.setattr(section, "rows_of", lambda *_: Rows(asked, calls))
    at = (NOW - timedelta(hours=5)).timestamp()
    monkeypatch.setattr(kept, "samples", lambda _: [Told("techsapo_backup_newest_timestamp_seconds", at)])
    site = SimpleNamespace(name="site", not_after=NOW + timedelta(days=4.5), attention=("ends soon",))
    monkeypatch.setattr(kept, "status", lambda _: (site,))
    end = End(date(2027, 1, 15), Source("https://vendor.example", date(2026, 11, 1)), "gpt-6.1-sol")
    monkeypatch.setattr(kept, "announced_end", lambda _: end)


@pytest.mark.parametrize("locale", PAGES)
def test_a_week_in_which_everything_happened_fits_a_screen(
    locale: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, everything: None
) -> None:
    package_lists(monkeypatch, tmp_path / "lists", NOW - timedelta(days=12.5))
    stack, report = made(tmp_path, locale, Week("LlmErrorsHigh"), providers={"gpt": MODEL})
    runs = Runs(stack.layout.jobs)
    for number, result in ((1, "ok"), (2, "failed")):
        runs.write(Run(number, "backup", NOW - timedelta(days=1), "service", "ops", 1, "x", result))  # type: ignore[arg-type]
    told = (Told("techsapo_service_replaced", n == "nginx", {"service": n}) for n in ("redis", "nginx"))
    write_textfile(stack.layout.textfiles, "drift", told)
    page = report().page
    assert page == PAGES[locale]
    assert len(page.splitlines()) <= 40
    assert max(map(width, page.splitlines())) <= COLUMNS


@each_row("locale", FIRST)
def test_the_first_report_says_since_when_it_knows_and_counts_no_nothing(
    locale: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(section, "rows_of", lambda *_: Rows())
    (package_lists(monkeypatch, tmp_path / "lists", NOW) / "deb_Packages.lz4").unlink()
    _, report = made(tmp_path, locale, Unused(begun=NOW - timedelta(minutes=30)))
    assert report().page == FIRST[locale]


@each_row("locale", UNMEASURED)
def test_a_prometheus_that_measured_nothing_says_so_and_not_that_there_was_nothing(
    locale: str, tmp_path: Path
) -> None:
    _, report = made(tmp_path, locale, Unused(begun=None))
    told = {s.name: s.lines for s in report().sections if s.name in ("refused", "down", "alerts")}
    assert told == dict.fromkeys(("refused", "down", "alerts"), (UNMEASURED[locale],))


@each_row(
    "locale, title",
    [("en", "shop: report of 2026-11-29 to 2026-11-30"), ("ja", "shop のレポート 2026-11-29〜2026-11-30")],
)
def test_one_day_is_called_by_its_date(locale: str, title: str, tmp_path: Path) -> None:
    stack, _ = made(tmp_path, locale, Unused(begun=None))
    assert report_of(stack, NOW, 1, Unused(begun=None)).title == title


def test_a_host_without_apt_and_an_apt_that_fails_keep_nothing_else_from_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package_lists(monkeypatch, tmp_path / "lists", NOW)
    stack, report = made(tmp_path, "en", Unused(begun=None))
    broken = replace(stack, runner=Debian(fails="apt-cache"))
    told = report_of(broken, NOW, server=Unused(begun=None))
    assert "newer packages are not known: `apt-cache` failed: E: The package cache file" in told.text
    assert told.to_json()["sections"]["updates"]["packages_looked_for"] is False
    del stack.topology.host.binaries["apt-get"]  # type: ignore[attr-defined] # a dict here
    assert "not a Debian host: newer packages were not looked for" in report().text


def test_containers_tell_of_images_that_are_not_the_specs_and_that_no_registry_was_asked(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(section, "rows_of", lambda *_: Rows())
    wanted = spec(locale="en", engine="compose", images={"redis": "redis:8.2"})
    seen = Seen(ObservedService("redis", "redis", State.RUNNING, image_name="redis:8.0"))
    stack = open_stack(topology(wanted, tmp_path, "compose"), seen, Debian())
    told = report_of(stack, NOW, server=Unused(begun=None))
    assert "images other than the spec's: redis runs redis:8.0 (spec: redis:8.2)" in told.text
    assert "no registry was asked for newer images" in told.text
    assert told.to_json()["sections"]["updates"]["images"] == [
        {"service": "redis", "runs": "redis:8.0", "wanted": "redis:8.2"}
    ]


@each_row(
    "line, parts",
    [
        ("short", ["short"]),
        ("", [""]),
        ("   a bb ccc dddd", ["   a bb ccc", "   dddd"]),
        ("one, two three four", ["one,", "   two three", "   four"]),
        ("0123456789012345", ["012345678", "   9012345"]),
        ("日本語の文です。", ["日本語の文で", "   す。"]),
        ("これは（abc）、次", ["これは", "   （abc）、", "   次"]),
    ],
)
def test_lines_break_where_readers_of_both_languages_expect_it(line: str, parts: list[str]) -> None:
    assert list(wrapped(line, 12, "   ")) == parts
