"""What `techsapo alerts ack` says of what it acknowledged, and what it refuses before anybody is asked."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fakes.alertmanager import FakeAlertmanager
from fakes.open_stacks import open_stack
from monitoring_stack import spec_of, topology_of
from rows import each_row

from techsapo_ops.cli.options import SpecChoice
from techsapo_ops.cli.output import Output
from techsapo_ops.cli.watch import alerts_ack
from techsapo_ops.errors import OpsError
from techsapo_ops.services.alertmanager.acknowledging import (
    Episode,
    NotStored,
    Unfit,
    acknowledgements,
)

DOWN = [Episode({"alertname": "AppDown", "instance": f"app-{n}"}, "1767322800") for n in (1, 2)]


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeAlertmanager:
    found = FakeAlertmanager()
    stack = open_stack(topology_of(spec_of({"project": "t"}), tmp_path))
    monkeypatch.setattr(alerts_ack, "open_stack", lambda _: stack)
    monkeypatch.setattr(alerts_ack, "alertmanager_in", lambda _: found)
    monkeypatch.setattr(alerts_ack, "firing", lambda *_: tuple(DOWN))
    monkeypatch.setattr(alerts_ack, "held_now", lambda *_: acknowledgements(found))
    (tmp_path / "techsapo.yaml").write_text("project: t\n")
    monkeypatch.chdir(tmp_path)
    return found


def ack(name: str | None = "AppDown", *, as_json: bool = False, **given: Any) -> None:
    place = SpecChoice(Path("techsapo.yaml"))
    alerts_ack.ack(
        name, **{"duration": "8h", "by": "hanako", **given}, place=place, out=Output(as_json=as_json)
    )


@each_row(
    "given", [{"by": "a\u202eevil\x1b[31m\x07"}, {"by": "x" * 65}, {"by": " "}, {"comment": "x\ny" * 5000}]
)
def test_more_than_a_line_is_refused_before_anybody_is_asked(
    given: dict[str, str], server: FakeAlertmanager
) -> None:
    with pytest.raises(Unfit) as refused:
        ack(**given)
    assert refused.value.exit_code == 2
    assert refused.value.message.startswith(f"--{next(iter(given))}: write ")
    assert server.silences() == ()


def test_what_somebody_gave_back_in_the_same_moment_is_named(
    server: FakeAlertmanager, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str] = []

    def before(request: str) -> None:
        asked.append(request)
        if asked.count("silences") == 2:
            server.before = lambda _: None
            server.expire("silence-0")

    server.before = before
    ack()
    shown = capsys.readouterr()
    assert "hanako has acknowledged AppDown (instance=app-2), until" in shown.out
    assert "acknowledged or released AppDown (instance=app-1)" in shown.err


def test_giving_back_by_a_name_leaves_what_others_have_and_says_whose_it_is(
    server: FakeAlertmanager, capsys: pytest.CaptureFixture[str]
) -> None:
    ack(by="taro")
    with pytest.raises(
        OpsError, match=r"acknowledged none of these alerts: taro has AppDown \(instance=app-1\), since "
    ):
        ack(undo=True, by="hanako")
    assert len(server.active) == 2
    ack(undo=True, by=None)
    assert server.active == []
    assert "(it was by taro)" in capsys.readouterr().err


def test_where_nothing_is_kept_the_command_fails_in_words(server: FakeAlertmanager) -> None:
    def before(request: str) -> None:
        if request == "silence":  # its clock is set back right after
            server.clock = lambda: datetime.now(UTC) - timedelta(minutes=5)

    server.before = before
    with pytest.raises(NotStored, match="does not have the acknowledgement"):
        ack()


def test_a_comment_is_one_line_and_one_that_nobody_wrote_is_shown_nowhere(
    server: FakeAlertmanager, capsys: pytest.CaptureFixture[str]
) -> None:
    def told(comment: str) -> str:
        ack(comment=comment)
        capsys.readouterr()
        ack(None, show=True, as_json=True)
        listed = json.loads(capsys.readouterr().out)["acknowledgements"]
        ack(None, show=True)
        assert ("has AppDown" in capsys.readouterr().out) is False
        return str(listed[0]["comment"])

    assert [told(""), told("asking\n  the vendor ")] == ["", "asking the vendor"]
