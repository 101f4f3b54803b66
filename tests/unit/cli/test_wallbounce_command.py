from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from panel_simulation.figures import NOW, labels
from panel_simulation.settings import KNOWN

from techsapo_ops.cli import main as cli
from techsapo_ops.cli.app import calibrate
from techsapo_ops.errors import OpsError
from techsapo_ops.wallbounce.feedback.track_record import TrackRecord
from techsapo_ops.wallbounce.verdict.record import Labelled

GAMMA = TrackRecord("gamma-1", 10, 9, 8, 1)

SPEC = "project: shop\nwallbounce: {calibration: calibration.json}\n"


@pytest.fixture(autouse=True)
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "techsapo.yaml"
    file.write_text(SPEC, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(calibrate, "_up", lambda *_, **__: True)
    return file


def run(monkeypatch: pytest.MonkeyPatch, stored: list[Labelled], *argv: str) -> int:
    """`answers calibrate` where these labels are stored."""
    monkeypatch.setattr(calibrate, "_known", lambda _: calibrate._Known(tuple(stored), (), (GAMMA,)))
    monkeypatch.setattr("sys.argv", ["techsapo", "answers", "calibrate", *argv])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    return int(caught.value.code or 0)


def test_a_proposal_says_what_supports_it_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, labels(KNOWN, 90, "cli")) == 0
    out = capsys.readouterr().out
    assert "90 labels, 90 of them new" in out
    assert ", 90 labels, 0." in out
    assert "current: the provisional weights, which are not based on labels" in out
    assert "gamma-1: dissents in 9 of 10; right in 1 of 8" in out
    assert not (tmp_path / "calibration.json").exists()


def test_few_labels_are_said_to_bear_out_little(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(monkeypatch, labels(KNOWN, 30, "cli few"))
    assert "can't support a confidence of 0.9" in capsys.readouterr().out


def test_fewer_than_ten_new_labels_leave_the_current_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    known, file = labels(KNOWN, 90, "cli"), tmp_path / "calibration.json"
    assert run(monkeypatch, known, "--apply", "--yes") == 0
    later = [replace(label, at=NOW + timedelta(days=1)) for label in labels(KNOWN, 9, "cli later")]
    before = file.read_bytes()
    assert run(monkeypatch, [*known, *later], "--apply", "--yes") == 1
    assert file.read_bytes() == before
    assert "9 labels are new" in capsys.readouterr().err


def test_a_proposal_that_does_worse_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "calibration.json"
    good = [replace(label, at=NOW - timedelta(days=2)) for label in labels(KNOWN, 300, "cli good")]
    run(monkeypatch, good, "--apply", "--yes")
    before = file.read_bytes()
    turned = [
        replace(label, right=1 - label.right, at=NOW - timedelta(days=3))
        for label in labels(KNOWN, 300, "turned")
    ]
    assert run(monkeypatch, [*turned, *labels(KNOWN, 40, "cli new")], "--apply", "--yes") == 1
    assert file.read_bytes() == before
    assert "does worse on held-out labels" in capsys.readouterr().err


@pytest.mark.parametrize("before", [None, b"the earlier file"])
def test_where_an_apply_fails_the_earlier_file_is_put_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: bytes | None
) -> None:
    file = tmp_path / "calibration.json"
    if before is not None:
        run(monkeypatch, labels(KNOWN, 60, "earlier"), "--apply", "--yes")
        before = file.read_bytes()

    def refuses(*_: object, **__: object) -> None:
        raise OpsError("not ready", "look at the log")

    monkeypatch.setattr(calibrate, "_up", refuses)
    later = [replace(label, at=NOW + timedelta(days=1)) for label in labels(KNOWN, 60, "later")]
    assert run(monkeypatch, later, "--apply", "--yes") == 1
    assert (file.read_bytes() if file.exists() else None) == before


def test_without_a_file_in_the_spec_a_proposal_has_no_place(
    spec: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spec.write_text("project: shop\n", encoding="utf-8")
    assert run(monkeypatch, labels(KNOWN, 60, "cli apply"), "--apply", "--yes") == 1
    assert "the spec names no calibration file" in capsys.readouterr().err
