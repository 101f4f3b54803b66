from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import httpx
import pytest
from fakes.alertmanager import FakeAlertmanager
from instances import get
from orchestrator import make_app
from rows import each_row

from techsapo_ops.adapters.alertmanager import Alert, Matcher
from techsapo_ops.adapters.prometheus import Firing, Prometheus, Sample
from techsapo_ops.serve.http.middleware import only_language
from techsapo_ops.serve.pages.acknowledgements import Acknowledgements
from techsapo_ops.serve.pages.status_report import StatusReport

WEB = files("techsapo_ops.serve") / "web"
PAGES = ("/", "/dashboards", "/status", "/incidents", "/docs", "/feedback")


def got(directory: Path, *paths: str, locale: str = "ja") -> list[httpx.Response]:
    return get(make_app(directory, locale=locale), *paths)


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> list[httpx.Response]:
    """Each page, as a stack in Japanese has it."""
    return got(tmp_path_factory.mktemp("pages"), *PAGES)


def test_pages_start_in_the_specs_language(tmp_path: Path, pages: list[httpx.Response]) -> None:
    for locale, found in (("ja", pages), ("en", got(tmp_path, *PAGES, locale="en"))):
        for page in found:
            assert page.headers["content-type"] == "text/html; charset=utf-8"
            tag = f'<html lang="{locale}" data-keys="off" data-people="one">'
            assert tag in page.text
            assert "__" not in page.text


@each_row(
    "path, headers, language",
    [
        ("/", {}, "ja"),
        ("/", {"Accept-Language": "fr"}, "ja"),
        ("/", {"Accept-Language": "en-US,ja;q=0.5"}, "en"),
        ("/", {"Accept-Language": "en", "Cookie": "a=b; techsapo_language=ja"}, "ja"),
        ("/", {"Accept-Language": "en", "Cookie": "techsapo_language=<script>"}, "en"),
        ("/?lang=ja", {"Accept-Language": "en", "Cookie": "techsapo_language=en"}, "ja"),
        ("/runbooks/AppDown", {"Cookie": "techsapo_language=en"}, "en"),
        ("/runbooks", {"Accept-Language": "en"}, "en"),
    ],
)
def test_a_page_has_the_readers_language(
    tmp_path: Path, path: str, headers: dict[str, str], language: str
) -> None:
    (page,) = get(make_app(tmp_path, locale="ja"), path, **headers)
    assert f'<html lang="{language}"' in page.text
    assert page.headers["vary"] == "Accept-Language, Cookie"


@each_row(
    "cookie, left",
    [
        (b"techsapo_language=en", [b"techsapo_language=en"]),
        (b'a="\\\\"; techsapo_language=ja; b=1', [b"techsapo_language=ja"]),
        (b"techsapo_language=fr", []),
        (b"xtechsapo_language=en", []),
        (b'a="' + 10_000 * b"\\\\" + b'"', []),
    ],
)
def test_of_a_browsers_cookies_only_the_pages_language_is_read(cookie: bytes, left: list[bytes]) -> None:
    others = [(b"host", b"localhost"), (b"accept", b"*/*")]
    kept = only_language([others[0], (b"cookie", cookie), others[1]])
    assert kept == [*others, *((b"cookie", each) for each in left)]
    assert only_language(others) is others


SIGN_IN = {"sign_in": {"address": "http://127.0.0.1:4180", "secret": "s" * 32}}


@each_row("auth, people", [({}, "one"), (SIGN_IN, "many"), ({"required": True, "keys_file": "keys"}, "many")])
def test_pages_know_whether_the_next_one_at_the_browser_may_be_somebody_else(
    tmp_path: Path, auth: dict[str, Any], people: str
) -> None:
    (tmp_path / "keys").write_text('{"version": 1, "keys": []}')
    if "keys_file" in auth:
        auth = {**auth, "keys_file": str(tmp_path / "keys")}
    signed_in = {"X-Techsapo-User": "hanako", "X-Techsapo-Sign-In": "s" * 32}
    (page,) = get(make_app(tmp_path, app={"auth": auth}), "/", **signed_in)
    assert f'data-people="{people}"' in page.text


def test_everything_that_a_page_names_is_served_from_here(
    tmp_path: Path, pages: list[httpx.Response]
) -> None:
    named = sorted({path for page in pages for path in re.findall(r'(?:src|href)="(/[^"#]*)"', page.text)})
    told = {path: r.status_code for path, r in zip(named, got(tmp_path, *named), strict=True)}
    helped = {told.pop(path) for path in named if path.startswith("/help")}
    assert helped <= {200, 307}, "it leads on to the help in the reader's language"
    assert set(told.values()) == {200}


def test_no_page_fetches_from_elsewhere_or_needs_inline_code() -> None:
    for entry in WEB.iterdir():
        text = entry.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in text, entry.name
        assert "https://" not in text, entry.name
        if entry.name.endswith(".html"):
            assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\bstyle=|\son\w+=", text), entry.name
        if entry.name.endswith(".js"):
            assert "innerHTML" not in text
            assert ".style" not in text


def test_every_word_that_a_page_names_is_there() -> None:
    known = set(re.findall(r"([A-Za-z_]+): [\"{]", (WEB / "dictionary.js").read_text(encoding="utf-8")))
    for entry in WEB.iterdir():
        text = entry.read_text(encoding="utf-8")
        named = re.findall(r'data-(?:text|label|placeholder)="(\w+)"', text)
        named += re.findall(r'\bword\("(\w+)"\)', text)
        assert set(named) - known == set(), entry.name


def test_a_dashboard_that_there_is_not_is_a_problem_and_so_is_a_hostile_name(tmp_path: Path) -> None:
    names = ("nothing", 'main?instance=x"} or up{a="', "main?span=99y", "main")
    answers = got(tmp_path, *(f"/api/v1/dashboards/{name}" for name in names))
    assert [r.status_code for r in answers] == [404, 422, 422, 503]
    assert answers[-1].json()["code"] == "no_prometheus"


def test_the_dashboards_of_a_stack_without_prometheus_say_so(tmp_path: Path) -> None:
    catalogue, recent = got(tmp_path, "/api/v1/dashboards", "/api/v1/metrics/recent")
    told = catalogue.json()
    assert told["prometheus"] == "absent"
    names = [d["name"] for d in told["dashboards"]]
    assert names[0] == "main"
    assert {"cost", "llm", "security"} <= set(names)
    assert recent.json().keys() == {"instance", "interval", "times", "series"}


class Troubled(Prometheus):
    """Alerts of every severity, as Prometheus tells them: in the order of its rules."""

    def alerts(self) -> tuple[Firing, ...]:
        labels = [
            ("Watchdog", "info", "firing"),
            ("ConfigChanged", "info", "firing"),
            ("MemoryHigh", "critical", "pending"),
            ("BudgetHigh", "warning", "firing"),
            ("ProviderDown", "critical", "firing"),
        ]
        at = datetime(2026, 11, 25, tzinfo=UTC)
        return tuple(
            Firing({"alertname": name, "severity": severity}, {}, state, at)
            for name, severity, state in labels
        )

    def query(self, expression: str) -> tuple[Sample, ...]:
        return ()


def test_the_status_page_is_told_what_fires_before_what_may_worst_first(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    report = StatusReport(app.health, Troubled("http://127.0.0.1:9"), app.spending, app.audit, app.options)
    told = asyncio.run(report.body()).document()
    names = [alert["name"] for alert in told["alerts"]]
    assert names == ["ProviderDown", "BudgetHigh", "ConfigChanged", "MemoryHigh"]
    assert {b["warn_percent"] for b in told["costs"]["budget"]} == {80}


def test_the_status_page_is_told_what_nobody_is_told_of_and_until_when(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    server = FakeAlertmanager()
    now = datetime.now(UTC)
    made = [
        server.silence(
            [Matcher("alertname", "=", "ProviderDown")], now, now + timedelta(hours=h), "ken", "new key"
        )
        for h in (1, 2)
    ]
    quiet = ("suppressed", True, ("critical",), now, tuple(made))
    server.held = [
        Alert({"alertname": "ProviderDown", "severity": "critical"}, {}, *quiet),
        Alert({"alertname": "BudgetHigh", "severity": "warning"}, {}, "suppressed", False, (), now),
        # Of the time before: it is about to fire again, and nobody would be told of that anyway.
        Alert({"alertname": "MemoryHigh", "severity": "critical"}, {}, *quiet),
    ]
    prometheus = Troubled("http://127.0.0.1:9")
    kept = Acknowledgements(prometheus, server)
    report = StatusReport(app.health, prometheus, app.spending, app.audit, app.options, kept)
    told = asyncio.run(report.body()).document()["alerts"]
    assert [(alert["name"], alert["state"]) for alert in told] == [
        ("ConfigChanged", "firing"),
        ("MemoryHigh", "pending"),
        ("ProviderDown", "silenced"),
        ("BudgetHigh", "inhibited"),
    ]
    assert [alert["until"] for alert in told] == [None, None, server.silences()[0].ends.isoformat(), None]


def test_both_languages_have_every_word() -> None:
    text = (WEB / "dictionary.js").read_text(encoding="utf-8")
    ja, en = text.split("\n  en: {")
    keys = re.compile(r"(?:^|[{,\s])([A-Za-z_]+): [\"{]")
    assert sorted(keys.findall(ja.split("ja: {")[1])) == sorted(keys.findall(en.split("\n};")[0]))


def test_only_the_pages_own_files_are_served(tmp_path: Path) -> None:
    paths = ("/web/../app.py", "/web/%2e%2e/app.py", "/web/app.py", "/web/", "/web/a/b")
    assert [answer.status_code for answer in got(tmp_path, *paths)] == [404] * 5
