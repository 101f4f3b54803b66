"""Investigations: one instance each, a purse, messages at most once, and an end whatever happens."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from techsapo_ops.catalogue.translations import Language
from techsapo_ops.errors import OpsError
from techsapo_ops.incidents.alert import Listener
from techsapo_ops.incidents.evidence import Pack, Piece
from techsapo_ops.incidents.findings import Claim, Findings, Link, Proposed
from techsapo_ops.incidents.incident import updated
from techsapo_ops.incidents.material import Material, Subject, Unread
from techsapo_ops.incidents.pack import leaving
from techsapo_ops.masking import MaskLevel
from techsapo_ops.masking.masker import Masker, mask
from techsapo_ops.serve.bodies.incidents import WholeIncidentBody
from techsapo_ops.serve.http.problems import Problem
from techsapo_ops.serve.incidents.desk import Desk
from techsapo_ops.serve.incidents.investigation import ASKED_AT_ONCE, Investigation
from techsapo_ops.serve.incidents.panel import Opinions
from techsapo_ops.serve.incidents.runner import LEASE, Holders, Runner
from techsapo_ops.serve.incidents.story import Story
from techsapo_ops.spec.models.investigate import Investigate
from techsapo_ops.stores.audit.shared_tables import Away
from techsapo_ops.stores.incidents.rows import Incident
from techsapo_ops.stores.incidents.store import IncidentStore, related_to

NOW = datetime(2026, 12, 2, 3, tzinfo=UTC)
PIECES = (
    Piece("M1", "metrics", "Prometheus", "errors of the shop rose from 0 to 12 a second", 9.0, NOW),
    Piece("L1", "logs", "logs of shop", "connection to db1 refused (300 times)", 8.0, NOW, "shop"),
    Piece("C1", "changes", "events", "deployed db1", 7.0, NOW, "db1"),
    Piece("L2", "logs", "logs of shop", "a milder line", 1.0, NOW, "shop"),
)
CLAIM = Claim(
    "model",
    1,
    "db1 refuses connections",
    "db1",
    (Link("db1 refuses connections", ("L1", "M1")),),
    ("L1", "M1"),
)
FINDINGS = Findings("model", (CLAIM,), (Proposed("unit_status", ("systemctl", "status", "db1"), 1),))


@dataclass
class Clock:
    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now


@dataclass
class FakePanel:
    """Finds what it is told to; `asked` counts."""

    opinions: Opinions = field(default_factory=lambda: Opinions((FINDINGS,)))
    asked: list[float] = field(default_factory=list)
    before: Callable[[], Any] = lambda: None

    async def ask(self, inquiry: Any, request_id: str, masker: Any, purse: Any, limit: float) -> Opinions:
        self.asked.append(limit)
        done = self.before()
        if asyncio.iscoroutine(done):
            await done
        return self.opinions


@dataclass
class FakePurse:
    booked_as: list[tuple[str, str]] = field(default_factory=list)

    def account(self, request_id: str) -> str:
        return request_id

    def booked(self, account: str, request_id: str, status: str) -> None:
        self.booked_as.append((request_id, status))


@dataclass
class Post:
    """A messenger that keeps what it is given."""

    sent: list[tuple[str, str]] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    broken: bool = False

    def send(self, text: str, before: str, link: str) -> str:
        self.sent.append((text, before))
        self.links.append(link)
        if self.broken:
            raise OpsError("nobody took the message")
        return f"ts{len(self.sent)}"


@dataclass
class Scene:
    """A store, and instances that investigate what is in it."""

    store: IncidentStore
    clock: Clock = field(default_factory=Clock)
    panel: FakePanel = field(default_factory=FakePanel)
    purse: FakePurse = field(default_factory=FakePurse)
    post: Post = field(default_factory=Post)
    gathered: list[Subject] = field(default_factory=list)
    windows: list[tuple[datetime, datetime]] = field(default_factory=list)
    language: Language = "en"
    mask: MaskLevel = "off"
    page: Callable[[], str] = lambda: ""

    def report(self, name: str = "Slow", service: str = "shop", summary: str = "") -> None:
        alert = Listener().reported(
            {"alertname": name, "service": service, "page": "true"},
            {"summary": summary or f"{service} is slow"},
            self.clock.now, None, "",
        )  # fmt: skip
        hour = timedelta(hours=1)
        self.store.change(
            related_to([alert.fingerprint], self.clock.now - hour),
            lambda state: updated(state, [alert], self.clock.now, hour, lambda a: a.pages)[0],
        )

    def gather(self, subject: Subject, start: datetime, end: datetime) -> Material:
        self.gathered.append(subject)
        self.windows.append((start, end))
        return Material(
            subject, start, end, read=("Prometheus",), unread=(Unread("logs of shop", "refused"),)
        )

    def instance(self, name: str = "app-1", held: Callable[[], Holders | None] = lambda: None) -> Runner:
        investigation = Investigation(
            self.store,
            self.gather,
            lambda m: Pack(m.subject, PIECES, m.read, m.unread),
            self.panel,  # type: ignore[arg-type]
            self.purse,  # type: ignore[arg-type]
            lambda: Masker(self.mask),
            self.language,
            messenger=self.post,
            page=lambda: self.page(),
            now=self.clock,
        )
        return Runner(self.store, investigation, timedelta(minutes=3), name, held, self.clock)

    @property
    def desk(self) -> Desk:
        return Desk(self.store, Investigate(), self.language, partial(mask, level=self.mask), now=self.clock)

    def look(self, runner: Runner | None = None) -> None:
        """Let an instance look until nothing is under way."""

        async def main() -> None:
            instance = runner or self.instance()
            await instance.look()
            while instance._tasks:
                await asyncio.wait(set(instance._tasks))

        asyncio.run(main())

    def kinds(self, number: int = 1) -> list[str]:
        return [entry.kind for entry in self.store.entries(number)]

    def incident(self, number: int = 1) -> Incident:
        incident = self.store.incident(number)
        assert incident is not None
        return incident

    def messages(self) -> list[dict[str, str]]:
        return [json.loads(e.text) for e in self.store.entries(1) if e.kind == "message"]


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    scene = Scene(IncidentStore(None, tmp_path / "audit.sqlite"))
    scene.report()
    yield scene
    scene.store.close()


TOLD = ["investigating", "evidence", "message", "message", "verdict", "message", "message"]


def test_an_incident_gets_its_evidence_a_first_message_and_then_the_verdict(scene: Scene) -> None:
    scene.look()
    assert scene.kinds() == ["opened", *TOLD]
    assert (scene.incident().investigation, scene.incident().worker) == ("done", None)
    first, verdict = scene.post.sent
    assert first == (
        "Incident 1: shop is slow (1 alert)\n"
        "• [M1] errors of the shop rose from 0 to 12 a second\n"
        "• [L1] connection to db1 refused (300 times)\n"
        "• [C1] deployed db1\n"
        "Looked at 3 of 4 sources; not seen: logs of shop",
        "",
    )
    assert verdict == (
        "Incident 1: the cause is probably: db1 refuses connections\n"
        "• [M1] errors of the shop rose from 0 to 12 a second\n"
        "• [L1] connection to db1 refused (300 times)\n"
        "Next check: systemctl status db1",
        "ts1",
    )
    assert scene.panel.asked == [177.0]
    assert scene.purse.booked_as == [("incident-1", "cause")]
    assert scene.gathered[0].services == {"shop"}


def test_what_is_looked_at_is_around_the_beginning_however_late_that_is(scene: Scene) -> None:
    began, half = scene.clock.now, timedelta(minutes=30)
    scene.clock.now += timedelta(minutes=5)
    investigation = scene.instance().investigation
    investigation.evidence(scene.incident())
    scene.clock.now += timedelta(hours=5)
    investigation.evidence(scene.incident())
    assert scene.windows == [(began - half, began + half / 6), (began - half, began + half)]


def test_of_the_evidence_of_a_time_line_only_what_may_leave_is_shown_where_asked(
    scene: Scene,
) -> None:
    scene.look()
    desk = replace(scene.desk, leaving=lambda pack: leaving(pack, {"shop": "nothing"}))
    for asked, ids in ((False, ["M1", "L1", "C1", "L2"]), (True, ["M1", "C1"])):
        (detail,) = [e.detail for e in desk.whole(1, leaving=asked).timeline if e.kind == "evidence"]
        assert detail is not None
        assert [piece["id"] for piece in detail["pieces"]] == ids


def test_messages_lead_to_the_incident_where_somebody_elsewhere_can_open_it(scene: Scene) -> None:
    scene.page = lambda: "https://techsapo.example.com/incidents"
    scene.look()
    assert scene.post.links == ["https://techsapo.example.com/incidents?id=1"] * 2


def test_a_message_goes_out_without_its_link_where_the_address_can_not_be_read(scene: Scene) -> None:
    def fail() -> str:
        raise OpsError("page facts: no such file")

    scene.page = fail
    scene.look()
    assert scene.post.links == [""] * 2


def test_an_empty_purse_leaves_the_evidence_alone(scene: Scene) -> None:
    scene.panel.opinions = Opinions((), declined="the budget for the day is too low")
    scene.look()
    assert scene.kinds() == ["opened", *TOLD]
    assert scene.post.sent[1][0].startswith(
        "Incident 1: there is evidence, but no verdict (the budget for the day"
    )


def test_an_instance_that_was_killed_midway_is_followed_by_another_that_asks_and_tells_nothing_twice(
    scene: Scene,
) -> None:
    scene.panel.before = _die
    scene.look()
    assert scene.kinds() == ["opened", *TOLD[:4]]
    scene.panel.before = lambda: None
    second = scene.instance("app-2")
    scene.look(second)  # the lease of the dead one still holds
    assert len(scene.panel.asked) == 1
    scene.clock.now += LEASE + timedelta(seconds=1)
    scene.look(second)
    assert scene.kinds() == ["opened", *TOLD[:4], "investigating", *TOLD[4:]]
    resumed = scene.store.entries(1)[5]
    assert (resumed.author, resumed.text) == ("app-2", "resumed")
    assert len(scene.gathered) == 1
    assert [text.splitlines()[0] for text, _ in scene.post.sent] == [
        "Incident 1: shop is slow (1 alert)", "Incident 1: the cause is probably: db1 refuses connections",
    ]  # fmt: skip
    assert scene.panel.asked[1] == 177.0 - 16


def _die() -> None:
    raise Away("killed")  # what the database sees of a kill -9: nothing any more, and a lease that holds


def test_one_whose_time_is_over_when_another_instance_finds_it_ends_and_says_so(scene: Scene) -> None:
    scene.panel.before = _die
    scene.look()
    scene.panel.before = lambda: None
    scene.clock.now += timedelta(minutes=5)
    scene.look(scene.instance("app-2"))
    assert scene.kinds()[-4:] == ["investigating", "stopped", "message", "message"]
    assert scene.incident().investigation == "done"
    assert scene.post.sent[-1][0] == "Incident 1: no verdict (the investigation ran out of time)"


def test_a_message_that_may_have_been_sent_is_not_sent_again(scene: Scene) -> None:
    def send(text: str, before: str, link: str) -> str:
        raise Away("killed")

    scene.post.send = send  # type: ignore[method-assign]
    scene.look()
    del scene.post.send
    scene.clock.now += LEASE + timedelta(seconds=1)
    scene.look(scene.instance("app-2"))
    assert [text.partition(":")[2] for text, _ in scene.post.sent] == [
        " the cause is probably: db1 refuses connections\n"
        "• [M1] errors of the shop rose from 0 to 12 a second\n"
        "• [L1] connection to db1 refused (300 times)\nNext check: systemctl status db1"
    ]
    assert [(m["message"], m["state"]) for m in scene.messages()] == [
        ("first", "begun"), ("verdict", "begun"), ("verdict", "sent"),
    ]  # fmt: skip


def test_a_receiver_that_refuses_ends_no_investigation(scene: Scene) -> None:
    scene.post.broken = True
    scene.look()
    assert [m["state"] for m in scene.messages()] == ["begun", "failed"] * 2
    assert scene.incident().investigation == "done"


def test_an_instance_that_lost_its_lease_writes_nothing_more(scene: Scene) -> None:
    def stolen() -> None:
        scene.clock.now += LEASE + timedelta(seconds=1)
        other = scene.store.alter(1, scene.instance("app-2")._take)
        assert other is not None
        assert (other.worker or "").startswith("app-2")

    scene.panel.before = stolen
    scene.look()
    assert scene.kinds() == ["opened", *TOLD[:4], "investigating"]
    assert len(scene.post.sent) == 1


def test_evidence_about_names_of_any_length_can_be_read_again(scene: Scene) -> None:
    """Else nobody could strike out a cause, and an instance that goes on would begin anew."""
    scene.report(service="s" * 400)
    scene.look()
    assert Story.of(scene.store.entries(2)).pack is not None


def test_two_instances_investigate_an_incident_once(scene: Scene) -> None:
    first, second = scene.instance("app-1"), scene.instance("app-2")
    assert [len(each._taken(4)) for each in (first, second, first)] == [1, 0, 0]


def test_no_more_than_a_few_go_on_at_once_and_the_oldest_first(scene: Scene) -> None:
    for n in range(9):
        scene.report(service=f"s{n}")
    runner = scene.instance()
    assert [i.number for i in runner._taken(4)] == [1, 2, 3, 4]
    assert [i.number for i in runner._taken(0)] == []


def test_a_panel_that_fails_ends_the_investigation_in_the_time_line(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise RuntimeError("unforeseen")

    scene.panel.before = fail
    scene.look()
    assert scene.kinds() == ["opened", *TOLD[:4], "stopped"]
    assert scene.incident().investigation == "done"


def test_an_instance_that_is_stopped_leaves_its_investigation_to_others_at_once(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = asyncio.Event()

    async def wait() -> None:
        asked.set()
        await asyncio.Event().wait()

    async def main() -> None:
        task = asyncio.create_task(scene.instance().watch())
        await asked.wait()
        task.cancel()
        await asyncio.wait({task})

    scene.panel.before = wait
    asyncio.run(main())
    scene.panel.before = lambda: None
    scene.clock.now += timedelta(seconds=1)
    scene.look(scene.instance("app-2"))
    assert scene.kinds()[-3:] == ["verdict", "message", "message"]


def test_who_has_an_incident_is_noted_once_and_when_nobody_has_it_any_more(scene: Scene) -> None:
    held: list[Holders | None] = [[({"alertname": "Slow", "service": "shop"}, "kimura")]]
    runner = scene.instance(held=lambda: held[0])
    for _ in range(2):
        scene.look(runner)
    held[0] = None  # Alertmanager is away
    scene.look(runner)
    assert scene.incident().holders == "kimura"
    held[0] = []
    scene.look(runner)
    said = [entry.text for entry in scene.store.entries(1) if entry.kind == "acknowledged"]
    assert said == ["kimura", ""]


def test_a_cause_that_is_struck_out_is_gone_from_the_verdict_and_the_panel_is_asked_if_none_is_left(
    scene: Scene,
) -> None:
    other = replace(CLAIM, member="other", cause="a slow disk", service="shop", evidence=("C1", "L2"))
    other = replace(other, chain=(Link("a slow disk", ("C1", "L2")),))
    scene.panel.opinions = Opinions((FINDINGS, Findings("other", (other,))))
    scene.look()
    whole = scene.desk.strike(1, 1, "db1 answers\nwell", "kimura")
    assert [e.kind for e in whole.timeline][-2:] == ["struck", "verdict"]
    struck = whole.timeline[-2]
    assert (struck.by, struck.detail) == (
        "kimura", {"cause": "db1 refuses connections", "reason": "db1 answers well"},
    )  # fmt: skip
    assert causes(whole) == ["a slow disk"]
    assert whole.investigation == "done"
    with pytest.raises(Problem, match="no cause 2"):
        scene.desk.strike(1, 2, "no", "kimura")
    whole = scene.desk.strike(1, 1, "no", "kimura")
    assert (causes(whole), whole.investigation) == ([], "due")
    scene.look()
    assert len(scene.panel.asked) == 2
    assert len(scene.post.sent) == 2
    assert scene.incident().investigation == "done"


def causes(whole: WholeIncidentBody) -> list[str]:
    """Those of the newest verdict."""
    (*_, newest) = (e.detail for e in whole.timeline if e.kind == "verdict")
    assert newest is not None
    return [cause["cause"] for cause in newest["verdict"]["causes"]]


def test_what_a_check_printed_is_evidence_from_then_on(scene: Scene) -> None:
    scene.look()
    whole = scene.desk.check(1, "unit_status", "● db1.service\n Active: failed\x1b", "kimura")
    assert [e.kind for e in whole.timeline][-3:] == ["checked", "evidence", "verdict"]
    pack = whole.timeline[-2].detail
    assert pack is not None
    assert (pack["pieces"][0]["id"], pack["pieces"][0]["source"]) == ("H1", "systemctl status db1")
    assert "\x1b" not in json.dumps(whole.document(), ensure_ascii=False)
    with pytest.raises(Problem, match="no check 'rm -rf'"):
        scene.desk.check(1, "rm -rf", "x", "kimura")


def test_a_secret_in_what_a_check_printed_is_stored_nowhere(scene: Scene) -> None:
    scene.mask = "secrets"
    scene.look()
    scene.desk.check(1, "unit_log", "login failed: password=Tr0ub4dor&3", "kimura")
    assert [e.kind for e in scene.store.entries(1) if "Tr0ub4dor" in e.text] == []


def test_a_secret_in_the_title_of_an_incident_is_not_sent(scene: Scene) -> None:
    scene.mask = "secrets"
    scene.report("Login", "db", "login with password=Tr0ub4dor&3 fails")
    scene.look()
    told = [text for text, _ in scene.post.sent if "Incident 2" in text]
    assert len(told) == 2
    assert "Tr0ub4dor" not in "".join(told)


def test_while_an_investigation_goes_on_nothing_is_struck_out(scene: Scene) -> None:
    scene.instance()._taken(1)
    with pytest.raises(Problem, match="no verdict"):
        scene.desk.strike(1, 1, "no", "kimura")


def test_a_first_message_in_japanese_has_no_english_of_ours(scene: Scene) -> None:
    scene.language = "ja"
    scene.look()
    first = scene.post.sent[0][0].splitlines()
    assert first[0] == "インシデント 1：shop is slow（アラート 1 件）"


def test_first_messages_of_a_storm_wait_for_no_panel(scene: Scene) -> None:
    for n in range(19):
        scene.report(service=f"s{n}")
    seen: list[int] = []

    async def wait() -> None:
        seen.append(len(scene.panel.asked))
        if len(seen) == ASKED_AT_ONCE:
            while len(scene.post.sent) < 20:  # noqa: ASYNC110 - it has no event
                await asyncio.sleep(0.01)
            done.set()
        await done.wait()

    done = asyncio.Event()
    scene.panel.before = wait
    scene.look()
    assert max(seen[:ASKED_AT_ONCE]) == ASKED_AT_ONCE
    assert len(scene.post.sent) == 40
