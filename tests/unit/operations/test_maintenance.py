from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from techsapo_ops.operations.maintenance import follow, page
from techsapo_ops.stack.layout import Layout
from techsapo_ops.stack.maintenance import (
    ALONE,
    PROBLEM,
    Maintenance,
    at_odds,
    maintenance_of,
    note,
    told_in,
)

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
        told = told_in(folder)
        assert told is not None
        assert told.until == ON.until
        note(layout).unlink()
        follow(layout)
        assert not (folder / PROBLEM).exists()
        assert told_in(folder) is None


def test_a_note_that_can_not_be_read_is_one(tmp_path: Path) -> None:
    layout = stack(tmp_path, "nginx")
    assert maintenance_of(layout) is None
    note(layout).write_text('{"message": ')
    found = maintenance_of(layout)
    assert found is not None
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
