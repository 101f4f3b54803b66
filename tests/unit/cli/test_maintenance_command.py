"""What `techsapo maintenance on` says where maintenance was on already."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from techsapo_ops.cli.apply import maintenance
from techsapo_ops.cli.main import app
from techsapo_ops.stack.maintenance import Maintenance

STARTED = datetime(2026, 1, 31, 10, tzinfo=UTC)


def test_maintenance_again_says_what_it_takes_the_place_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "techsapo.yaml").write_text("project: t\n")
    made = Maintenance("", STARTED, None, "hanako", "")
    monkeypatch.setattr(maintenance, "turn_on", lambda *_: made)
    for before, said in (
        (None, False),
        (made, False),
        (Maintenance("new disk", STARTED, None, "h", ""), True),
    ):
        monkeypatch.setattr(maintenance, "maintenance_of", lambda _, told=before: told)
        done = CliRunner().invoke(app, ["maintenance", "on"])
        assert done.exit_code == 0, done.output
        assert ("replaces the earlier setting: maintenance since" in done.output) is said
        assert ("new disk" in done.output) is said
