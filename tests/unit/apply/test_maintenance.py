from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fakes.open_stacks import Seen, open_stack
from monitoring_stack import spec_of, topology_of
from rows import each_row

from techsapo_ops.adapters.alertmanager import Matcher, Silence
from techsapo_ops.apply import maintenance
from techsapo_ops.apply.maintenance import (
    LONGEST_MESSAGE,
    LONGEST_SILENCE,
    at_odds,
    follow,
    page,
    turn_off,
    turn_on,
)
from techsapo_ops.errors import OpsError
from techsapo_ops.stack.layout import Layout
from techsapo_ops.stack.maintenance import (
    ALONE,
    PROBLEM,
    Maintenance,
    maintenance_of,
    note,
    notice_in,
)
from techsapo_ops.stack.stack import Stack

ON = Maintenance(
    "new <disk>", datetime(2026, 11, 27, tzinfo=UTC), datetime(2026, 11, 28, tzinfo=UTC), "hanako"
)


def stack(directory: Path, *readers: str) -> Layout:
    layout = Layout(directory, directory / "generated")
    for reader in readers:
        (layout.config / reader).mkdir(parents=True)
        (layout.config / reader / f"{reader}.conf").touch()
    return layout


def test_the_app_turns_users_away_itself_only_where_no_nginx_stands_before_it(tmp_path: Path) -> None:
    for name, readers in (("alone", ("app",)), ("fronted", ("app", "nginx"))):
        layout = stack(tmp_path / name, *readers)
        note(layout).write_text(json.dumps(ON.to_json()))
        follow(layout)
        folder = layout.config / "app" / "maintenance"
        assert (folder / ALONE).exists() == (name == "alone")
        told = notice_in(folder)
        assert told.until == ON.until
        note(layout).unlink()
        follow(layout)
        assert not (folder / PROBLEM).exists()
        assert notice_in(folder) is None


def test_a_note_that_can_not_be_read_is_one(tmp_path: Path) -> None:
    layout = stack(tmp_path, "nginx")
    assert maintenance_of(layout) is None
    note(layout).write_text('{"message": ')
    found = maintenance_of(layout)
    assert "maintenance.json" in found.message


def test_the_page_shows_a_message_as_words() -> None:
    assert "new &lt;disk&gt;" in page(ON)


def test_a_note_and_a_switch_that_disagree_are_told(tmp_path: Path) -> None:
    layout = stack(tmp_path, "nginx", "app")
    assert list(at_odds(layout)) == []
    note(layout).write_text(json.dumps(ON.to_json()))
    told = dict(at_odds(layout))
    assert set(told) == {"nginx", "app"}
    assert "`techsapo up`" in told["nginx"]
    follow(layout)
    assert list(at_odds(layout)) == []
    note(layout).unlink()
    (layout.config / "app" / "maintenance" / PROBLEM).unlink()
    told = dict(at_odds(layout))
    assert set(told) == {"nginx"}
    assert "`techsapo maintenance off`" in told["nginx"]


OWN = Silence(
    "s0", (Matcher("alertname", "=", "AppDown"),), ON.since, ON.since, "me", "maintenance", "active"
)


@dataclass
class Silencer:
    """An Alertmanager that knows of silences alone; the first is somebody's own."""

    made: list[Silence] = field(default_factory=lambda: [OWN])
    ended: list[str] = field(default_factory=list)

    def silence(
        self, matchers: Sequence[Matcher], begins: datetime, ends: datetime, by: str, comment: str
    ) -> str:
        name = f"s{len(self.made)}"
        self.made.append(Silence(name, tuple(matchers), begins, ends, by, comment, "active"))
        return name

    def silences(self) -> Sequence[Silence]:
        return [replace(s, state="expired") if s.id in self.ended else s for s in self.made]

    def expire(self, silence: str) -> None:
        self.ended.append(silence)


def running(folder: Path, engine: Seen | None = None) -> Stack:
    made = open_stack(topology_of(spec_of({"project": "t"}), folder), engine or Seen())
    (made.layout.config / "app").mkdir(parents=True)
    return made


@pytest.fixture
def silencer(monkeypatch: pytest.MonkeyPatch) -> Silencer:
    found = Silencer()
    monkeypatch.setattr(maintenance, "alertmanager_of", lambda _: found)
    return found


def test_turned_on_again_it_goes_on_since_then_with_one_silence_and_off_ends_both(
    tmp_path: Path, silencer: Silencer
) -> None:
    where = running(tmp_path)
    folder = where.layout.config / "app" / "maintenance"
    first = turn_on(where, "one", None, "hanako", print)
    note(where.layout).write_text(json.dumps(replace(first, since=ON.since).to_json()))  # since yesterday
    second = turn_on(where, "two", ON.until, "taro", print)
    assert (second.message, second.since, second.silence) == ("two", ON.since, "s2")
    assert maintenance_of(where.layout) == second
    assert silencer.ended == ["s1"]
    assert silencer.made[1].ends - silencer.made[1].starts == LONGEST_SILENCE
    assert "two" in (folder / PROBLEM).read_text()
    assert turn_off(where, print) is not None
    assert silencer.ended == ["s1", "s2"]
    assert not (folder / PROBLEM).exists()


def test_a_host_that_goes_on_serving_users_is_said(tmp_path: Path, silencer: Silencer) -> None:
    engine = Seen()
    engine.lacking = {"c": "timed out"}
    where = running(tmp_path, engine)
    warned: list[str] = []
    turn_on(where, "", None, "hanako", warned.append)
    turn_off(where, warned.append)
    turn_off(where, warned.append)
    ours = "this change did not reach c (timed out)"
    assert [words for words in warned if words.startswith(ours)] == warned[-3:]


@each_row("message", ["x" * (LONGEST_MESSAGE + 1), "a\x1b[2J"])
def test_a_message_that_nobody_could_read_turns_nothing_on(
    tmp_path: Path, silencer: Silencer, message: str
) -> None:
    where = running(tmp_path)
    with pytest.raises(OpsError, match="--message"):
        turn_on(where, message, None, "hanako", print)
    assert maintenance_of(where.layout) is None
    assert len(silencer.made) == 1
