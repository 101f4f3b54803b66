"""The page that a signed link leads to: it asks first, and lets in nobody without a signature."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from fakes.alertmanager import FakeAlertmanager, gone
from instances import within
from orchestrator import client_of, make_spec
from rows import each_row
from structlog.testing import capture_logs

from techsapo_ops.adapters.alertmanager import Alert, Alertmanager, Silence
from techsapo_ops.adapters.http import Unreachable
from techsapo_ops.adapters.prometheus import Firing, Prometheus, Sample
from techsapo_ops.serve.app import App
from techsapo_ops.serve.http.problems import Problem
from techsapo_ops.serve.options import Options
from techsapo_ops.serve.pages import acknowledge_page
from techsapo_ops.serve.pages.acknowledge_page import Attempts, _digest
from techsapo_ops.serve.pages.acknowledgements import GLANCE, Acknowledgements
from techsapo_ops.services.alertmanager.acknowledging import Claim, Episode, acknowledgements
from techsapo_ops.services.alertmanager.signing import signature

KEY = "k" * 48
START = 1_700_000_000
MARK = " (unverified)"
NOWHERE = "http://127.0.0.1:1"
LABELS = {"alertname": "AppDown", "severity": "critical", "priority": "P0", "service": "app"}


class Kept:
    """Takes the place of both servers: `firing` is what fires, `server` what is silenced."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.firing: list[Mapping[str, str]] = [{**LABELS, "since": "1700000000"}]
        self.server = FakeAlertmanager()
        monkeypatch.setattr(Prometheus, "query", lambda _, expr: self._query(expr))
        for name in ("alerts", "silences", "silence", "expire"):
            asked = getattr(self.server, name)
            monkeypatch.setattr(Alertmanager, name, lambda _, *given, asked=asked: asked(*given))

    @property
    def silences(self) -> list[Silence]:
        return self.server.active

    @property
    def by(self) -> list[str]:
        return [s.created_by for s in self.silences]

    def _query(self, expression: str) -> tuple[Sample, ...]:
        assert expression == "techsapo:alert:episode"
        return tuple(Sample({"__name__": expression, **labels}, 1.0, 0.0) for labels in self.firing)


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Kept:
    return Kept(monkeypatch)


def app_of(directory: Path, **sections: Any) -> App:
    """An app whose key of links is KEY."""
    directory.mkdir(exist_ok=True)
    (directory / "key").write_text(KEY, encoding="ascii")
    options = Options(
        make_spec(**{"locale": "en", **sections}), "app-1", directory / "data",
        prometheus=NOWHERE, alertmanager=NOWHERE, acknowledge_key=directory / "key",
    )  # fmt: skip
    return App(options)


def link(alert: str = "AppDown", *, project: str | None = None, key: str = KEY, start: int = START) -> str:
    signed = signature(key.encode(), project or make_spec().project, alert, start)
    return f"/alerts/{alert}/acknowledge?signature={signed}"


def form(page: str) -> dict[str, str]:
    """What a browser sends of the page's English form, the name left out."""
    english = page.partition('lang="en">')[2].partition("</form>")[0].partition("<form")[2]
    fields = re.findall(r'<input type="(?:hidden|checkbox)"[^>]*name="(\w+)" value="([^"]*)"', english)
    return {name: value for name, value in fields if name != "take_over"}


def submitted(directory: Path, headers: Mapping[str, str] | None = None, **more: str) -> httpx.Response:
    return within(app_of(directory), lambda client: submit(client, headers, **more))


async def submit(
    client: httpx.AsyncClient, headers: Mapping[str, str] | None = None, **more: str
) -> httpx.Response:
    page = await client.get(link())
    return await client.post("/alerts/AppDown/acknowledge", data=form(page.text) | more, headers=headers)


async def test_opening_the_link_asks_and_changes_nothing(tmp_path: Path, kept: Kept) -> None:
    async with client_of(app_of(tmp_path)) as client:
        pages = [await client.get(link()), await client.head(link()), await client.get(link())]
    assert [p.status_code for p in pages] == [200, 200, 200]
    assert "Acknowledge AppDown" in pages[0].text
    assert "AppDown への対応を引き受ける" in pages[0].text
    assert pages[0].headers["cache-control"] == "no-store"
    assert kept.silences == []


def test_the_form_acknowledges_in_the_name_that_was_written(tmp_path: Path, kept: Kept) -> None:
    answer = submitted(tmp_path, by=" 花子 <b> ", hours="2", comment="on it")
    assert answer.status_code == 200
    assert "花子 &lt;b&gt; (unverified) has acknowledged AppDown" in answer.text
    (made,) = kept.silences
    assert (made.created_by, made.comment) == ("花子 <b> (unverified)", "on it")
    assert {str(m) for m in made.matchers} == {
        *(f"{name}={value}" for name, value in LABELS.items()), "since=1700000000", "next=~.+",
    }  # fmt: skip
    assert 7190 < (made.ends - datetime.now(UTC)).total_seconds() <= 7200


FORGED = {
    "none": "/alerts/AppDown/acknowledge",
    "a made-up one": "/alerts/AppDown/acknowledge?signature=" + "A" * 24,
    "another alert's": link("NginxDown").replace("NginxDown", "AppDown"),
    "another stack's": link(project="other"),
    "of a key of before": link(key="o" * 48),
    "odd characters": "/alerts/AppDown/acknowledge?signature=%00%ff%F0%9F%92%A5",
    "another start": link().replace("=17", "=18"),
    "another start's parts": link(start=START + 86_400).replace(str(START + 86_400), str(START)),
    "a start that is none": link().replace(str(START), "-1"),
    "no start": link().replace(f"{START}.", ""),
    "another name": link().replace("AppDown", "%3Cscript%3E"),
}


def test_a_signature_that_is_not_of_this_alert_and_stack_lets_nobody_in(tmp_path: Path, kept: Kept) -> None:
    async def work(client: httpx.AsyncClient) -> list[httpx.Response]:
        own, pages = form((await client.get(link())).text), []
        for address in FORGED.values():
            path, _, query = address.partition("?")
            sent = {**own, "by": "mallory"} | (dict(httpx.QueryParams(query)) or {"signature": ""})
            pages += [await client.get(address), await client.post(path, data=sent)]
        return pages

    for page in within(app_of(tmp_path), work):
        assert page.status_code == 403, page.url
        assert "This link does not work" in page.text
        assert "<script>" not in page.text
    assert kept.silences == []


async def test_without_its_key_no_link_works_any_more(tmp_path: Path, kept: Kept) -> None:
    async with client_of(app_of(tmp_path)) as client:
        before = await client.get(link())
        (tmp_path / "key").unlink()
        assert (before.status_code, (await client.get(link())).status_code) == (200, 403)


def test_another_sites_form_acknowledges_nothing(tmp_path: Path, kept: Kept) -> None:
    for origin in ("https://evil.example", "null"):
        answer = submitted(tmp_path, {"Origin": origin}, by="mallory")
        assert answer.status_code == 403
    assert kept.silences == []
    answer = submitted(tmp_path, {"Origin": "http://localhost"}, by="hanako")
    assert (answer.status_code, kept.by) == (200, ["hanako" + MARK])


async def test_an_alert_that_is_over_has_nothing_to_acknowledge(tmp_path: Path, kept: Kept) -> None:
    async with client_of(app_of(tmp_path)) as client:
        sent = {**form((await client.get(link())).text), "by": "hanako"}
        kept.firing = [{**LABELS, "since": "1800000000"}]  # it fires anew: what was open is another episode
        anew = await client.post("/alerts/AppDown/acknowledge", data=sent)
        kept.firing = []
        late = await client.post("/alerts/AppDown/acknowledge", data=sent)
        page = await client.get(link())
    assert (anew.status_code, late.status_code, page.status_code) == (410, 200, 200)
    assert "The AppDown alert in that message has ended" in anew.text
    assert "このリンクは期限切れです" in anew.text
    assert "<form" not in anew.text
    assert "AppDown is not firing" in late.text
    assert "AppDown is not firing" in page.text
    assert kept.silences == []


@each_row(
    "start, told, status",
    [
        (START, None, 200),
        (START + 300, None, 200),  # it flapped: for Alertmanager it began anew, within the same episode
        (START - 1, None, 410),
        (4_000_000_000, None, 410),  # no alert began in the future
        (START - 900, START - 900, 200),  # Prometheus lost when it began, and messages say what they said
        (START - 900, START - 901, 410),
    ],
)
def test_a_link_holds_as_long_as_what_went_on_at_its_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: int, told: int | None, status: int
) -> None:
    kept = Kept(monkeypatch)
    if told is not None:
        began = datetime.fromtimestamp(told + 0.25, UTC)
        kept.server.held = [Alert(LABELS, {}, "active", False, ("critical",), began)]
    assert within(app_of(tmp_path), lambda client: client.get(link(start=start))).status_code == status


def test_a_name_that_nobody_verified_is_not_that_of_who_signed_in(tmp_path: Path, kept: Kept) -> None:
    page = within(app_of(tmp_path), lambda client: client.get(link())).text
    assert "so the name is not verified" in page
    assert "（未確認）" not in page
    submitted(tmp_path, by="hanako@example.com")
    assert kept.by == ["hanako@example.com" + MARK]
    within(app_of(tmp_path / "ja", locale="ja"), lambda client: submit(client, by="花子", take_over="yes"))
    assert kept.by == ["花子（未確認）"]


def test_what_another_has_is_taken_over_only_by_saying_so(tmp_path: Path, kept: Kept) -> None:
    submitted(tmp_path, by="hanako")
    answer = submitted(tmp_path, by="taro")
    assert answer.status_code == 409
    assert "acknowledged by hanako (unverified)" in answer.text
    assert kept.by == ["hanako" + MARK]
    assert submitted(tmp_path, by="taro", take_over="yes").status_code == 200
    assert kept.by == ["taro" + MARK]


def test_a_form_that_is_refused_keeps_what_was_typed(tmp_path: Path, kept: Kept) -> None:
    kept.firing = [{**LABELS, "instance": f"app-{n}", "since": "1700000000"} for n in (1, 2)]
    submitted(tmp_path, by="hanako", of=first_of(kept))

    typed = {"by": 'taro "<i>', "hours": "24", "comment": 'see "<b>" & co'}
    page = submitted(tmp_path, of=first_of(kept), **typed)
    assert (page.status_code, kept.by) == (409, ["hanako" + MARK])
    assert page.text.count('name="by" value="taro &#34;&lt;i&gt;"') == 2  # a form for each language
    assert page.text.count('name="comment" value="see &#34;&lt;b&gt;&#34; &amp; co"') == 2
    assert page.text.count('<option value="24" selected>') == 2
    boxes = re.findall(r'name="of" value="\w+"( checked)?>', page.text)
    assert boxes == [" checked", "", " checked", ""]


def first_of(kept: Kept) -> str:
    """What stands in the form for the first that fires."""
    first = min(kept.firing, key=str)
    return _digest(Episode({k: v for k, v in first.items() if k != "since"}, first["since"]))


REFUSED: list[dict[str, str]] = [
    *({"hours": hours} for hours in ("0", "3", "999999999", "abc", "\u0668")),
    *({"by": name} for name in ("", "  ", "x" * 65, "a\u202eb")),
    *({"comment": comment} for comment in ("x" * 301, "a\u202eb")),
]


async def test_a_time_a_name_or_a_comment_that_the_form_does_not_take_is_refused(
    tmp_path: Path, kept: Kept
) -> None:
    async with client_of(app_of(tmp_path)) as client:
        found = [(await submit(client, **{"by": "hanako", **wrong})).status_code for wrong in REFUSED]
    assert found == [422] * len(REFUSED)
    assert kept.silences == []


def test_the_log_says_who_acknowledged_what_from_where(tmp_path: Path, kept: Kept) -> None:
    async def work(client: httpx.AsyncClient) -> None:
        with capture_logs() as logs:
            await submit(client, by="hanako")
            await client.get(FORGED["another alert's"])
            found.extend(line for line in logs if line["event"] in events)

    found: list[Any] = []
    events = ("Alert acknowledged", "Link to acknowledge an alert refused")
    within(app_of(tmp_path), work)
    assert [(line["event"], line["alert"], line["client"]) for line in found] == [
        (event, "AppDown", "127.0.0.1") for event in events
    ]
    assert all(line["requestId"] for line in found)


async def test_who_signed_in_is_not_asked_for_a_name(tmp_path: Path, kept: Kept) -> None:
    sign_in = {"auth": {"sign_in": {"address": "http://127.0.0.1:4180", "secret": "s" * 32}}}
    headers = {"X-Techsapo-User": "hanako@example.com", "X-Techsapo-Sign-In": "s" * 32}
    async with client_of(app_of(tmp_path, app=sign_in)) as client:
        refused = await submit(client, by="mallory")
        assert (refused.status_code, kept.by) == (401, [])
        client.headers.update(headers)
        await submit(client, by="mallory")
    assert kept.by == ["hanako@example.com"]


def behind(server: FakeAlertmanager) -> None:
    server.clock = lambda: datetime.now(UTC) - timedelta(minutes=5)


def away(server: FakeAlertmanager) -> None:
    server.before = gone


@each_row(
    "fault, words",
    [
        (behind, "Alertmanager did not store the acknowledgement"),
        (away, "Run techsapo alerts ack AppDown on the host"),
    ],
)
def test_what_alertmanager_does_not_keep_is_not_told_as_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Callable[[FakeAlertmanager], None], words: str
) -> None:
    kept = Kept(monkeypatch)
    kept.server.before = lambda asked: fault(kept.server) if asked == "silence" else None
    answer = submitted(tmp_path, by="hanako")
    assert answer.status_code == 503
    assert words in answer.text


async def test_a_form_that_is_none_is_refused_and_no_error_of_ours(tmp_path: Path, kept: Kept) -> None:
    async with client_of(app_of(tmp_path)) as client:
        bodies = (b"a=1&" * 300, b"signature=" + b"x" * 20_000, b"\xff\xfe%zz&&==", b"")
        sent = [await client.post("/alerts/AppDown/acknowledge", content=body) for body in bodies]
    assert [answer.status_code for answer in sent] == [403] * 4
    assert kept.silences == []


def test_servers_that_do_not_answer_are_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any) -> Any:
        raise Unreachable(NOWHERE, "refused")

    monkeypatch.setattr(Prometheus, "query", away)
    page = within(app_of(tmp_path), lambda client: client.get(link()))
    assert page.status_code == 503
    assert "techsapo alerts ack AppDown" in page.text


def test_a_client_that_tries_on_and_on_has_to_wait_and_others_do_not() -> None:
    now = [1000.0]
    attempts = Attempts(3, 5, clock=lambda: now[0])
    for client in ("a", "a", "a", "b"):
        attempts.count(client)
    with pytest.raises(Problem) as refused:
        attempts.count("a")
    assert (refused.value.status, refused.value.retry_after) == (429, 20.0)
    attempts.count("b")
    with pytest.raises(Problem):
        attempts.count("c")  # five in all
    now[0] += 20
    attempts.count("a")


@each_row("method", ["GET", "POST"])
def test_a_flood_of_guesses_is_cut_off_and_a_link_that_is_signed_works_on(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Kept(monkeypatch)

    async def work(client: httpx.AsyncClient) -> list[int]:
        guesses = [await client.request(method, FORGED["a made-up one"]) for _ in range(32)]
        assert {g.status_code for g in guesses[:30]} == {403}
        return [*(g.status_code for g in guesses[-2:]), (await submit(client, by="hanako")).status_code]

    assert within(app_of(tmp_path), work) == [429, 429, 200]
    assert kept.by == ["hanako" + MARK]


@each_row("method", ["GET", "POST"])
def test_who_has_a_link_asks_the_servers_only_so_often(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Kept(monkeypatch)
    monkeypatch.setattr(acknowledge_page, "_MINUTE", 1e12)  # the minute doesn't end between two requests

    async def work(client: httpx.AsyncClient) -> list[int]:
        data = {"signature": link().partition("=")[2]} if method == "POST" else None
        return [(await client.request(method, link(), data=data)).status_code for _ in range(31)]

    answers = within(app_of(tmp_path), work)
    assert (429 in answers[:30], answers[30]) == (False, 429)


async def test_the_page_and_the_status_page_say_the_beginning_that_the_message_says(
    tmp_path: Path, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    fired = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    condition = datetime(2026, 1, 2, 3, 3, tzinfo=UTC)
    kept.server.held = [Alert(LABELS, {}, "active", False, ("critical",), fired)]
    firing = (Firing(LABELS, {}, "firing", condition),)
    monkeypatch.setattr(Prometheus, "alerts", lambda _: firing)
    query = kept._query
    monkeypatch.setattr(Prometheus, "query", lambda _, expr: query(expr) if "episode" in expr else ())
    async with client_of(app_of(tmp_path)) as client:
        page = await client.get(link())
        await submit(client, by="hanako")
        status = await client.get("/api/v1/status")
    assert f"since {fired.astimezone():%Y-%m-%d %H:%M:%S %Z}<" in page.text
    (alert,) = status.json()["alerts"]
    assert datetime.fromisoformat(alert["since"]) == fired
    assert (alert["acknowledged"]["by"], alert["acknowledged"]["comment"]) == ("hanako" + MARK, "")


def test_the_status_page_does_not_wait_for_an_alertmanager_that_is_slow_and_tells_what_was_known(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []

    def slow(server: Alertmanager) -> tuple[Silence, ...]:
        waited.append(server.timeout)
        if server.timeout < 5:
            raise Unreachable(NOWHERE, "no answer in time")
        return tuple(kept.silences)

    monkeypatch.setattr(Alertmanager, "silences", slow)
    known = Acknowledgements(Prometheus(NOWHERE, timeout=8), Alertmanager(NOWHERE, timeout=8))
    known.take([known.of("AppDown")[0].episode], Claim("花子", datetime.now(UTC) + timedelta(hours=1)))

    async def pause(_: float) -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(known.watch(pause))
    seen = known.glance()
    assert {labels: a.by for labels, a in seen.held.items()} == {frozenset(LABELS.items()): "花子"}
    assert seen.began == {}
    assert waited[-1] == GLANCE
    assert set(waited[:-1]) == {8}


def test_an_acknowledgement_leaves_out_whom_was_told_already(tmp_path: Path, kept: Kept) -> None:
    def told(step: str, state: str = "active", **more: str) -> Alert:
        labels = {**LABELS, "since": "1700000000", "site": "tokyo", **more, "next": step}
        return Alert(labels, {}, state, False, (f"next.{step}",), datetime.now(UTC))

    kept.server.held = [
        told("0"), told("1"), told("2", "suppressed"), told("3", since="1"), told("4", service="other"),
    ]  # fmt: skip
    assert submitted(tmp_path, by="花子").status_code == 200
    (made,) = kept.silences
    assert [str(m) for m in made.matchers if m.name == "next"] == ["next=~.+", "next!~0|1"]
    assert [str(a.episode) for a in acknowledgements(Alertmanager(NOWHERE))] == ["AppDown"]
