from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from panel_simulation.figures import NOW, labels
from panel_simulation.settings import KNOWN

from techsapo_ops.cli import main as cli
from techsapo_ops.errors import OpsError
from techsapo_ops.wallbounce.verdict.calibration import Calibration, loads
from techsapo_ops.wallbounce.verdict.record import LABELLED, Labelled

SPEC = "project: shop\nwallbounce: {calibration: calibration.json}\n"


def write(path: Path, made: list[Labelled]) -> Path:
    path.write_text("\n".join(LABELLED.dump_json(label).decode() for label in made), encoding="utf-8")
    return path


def run(monkeypatch: pytest.MonkeyPatch, *argv: str) -> int:
    monkeypatch.setattr("sys.argv", ["techsapo", "answers", "calibrate", *argv])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    return int(caught.value.code or 0)


def read(file: Path) -> Calibration:
    return loads(file.read_text(encoding="utf-8"), file.name)


def test_a_proposal_is_written_and_says_what_supports_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told, output = write(tmp_path / "l.jsonl", labels(KNOWN, 90, "cli")), tmp_path / "weights.json"
    assert run(monkeypatch, str(told), "--output", str(output)) == 0
    out = capsys.readouterr().out
    assert "90 labels, 90 of them new" in out
    assert ", 90 labels, 0." in out
    assert "current: the provisional weights, which no label supports" in out
    assert "gamma-1 " in out
    assert read(output).labels == 90


def test_few_labels_are_said_to_bear_out_little(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told = write(tmp_path / "l.jsonl", labels(KNOWN, 30, "cli few"))
    run(monkeypatch, str(told), "--output", str(tmp_path / "weights.json"))
    assert "nothing can be called 0.9 or surer" in capsys.readouterr().out


def test_fewer_than_ten_new_labels_leave_the_current_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    known, output = labels(KNOWN, 90, "cli"), tmp_path / "weights.json"
    run(monkeypatch, str(write(tmp_path / "l.jsonl", known)), "-o", str(output))
    later = [replace(label, at=NOW + timedelta(days=1)) for label in labels(KNOWN, 9, "cli later")]
    before = output.read_bytes()
    assert run(monkeypatch, str(write(tmp_path / "l.jsonl", [*known, *later])), "-o", str(output)) == 1
    assert output.read_bytes() == before
    assert "9 labels are new" in capsys.readouterr().err


def test_a_proposal_that_does_worse_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "weights.json"
    good = [replace(label, at=NOW - timedelta(days=2)) for label in labels(KNOWN, 300, "cli good")]
    run(monkeypatch, str(write(tmp_path / "l.jsonl", good)), "-o", str(output))
    before = output.read_bytes()
    turned = [
        replace(label, right=1 - label.right, at=NOW - timedelta(days=3))
        for label in labels(KNOWN, 300, "turned")
    ]
    told = write(tmp_path / "l.jsonl", [*turned, *labels(KNOWN, 40, "cli new")])
    assert run(monkeypatch, str(told), "-o", str(output)) == 1
    assert output.read_bytes() == before
    assert "does worse on held-out labels" in capsys.readouterr().err


def test_a_wrong_line_is_named_by_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told = write(tmp_path / "l.jsonl", labels(KNOWN, 3, "cli"))
    told.write_text(told.read_text(encoding="utf-8") + "\n{}\n", encoding="utf-8")
    assert run(monkeypatch, str(told), "-o", str(tmp_path / "w.json")) == 1
    assert "l.jsonl:4 record is missing or wrong" in capsys.readouterr().err


@pytest.mark.parametrize("before", [None, "the earlier file"])
def test_where_an_apply_fails_the_earlier_file_is_put_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str | None
) -> None:
    from techsapo_ops.cli.app import calibrate
    from techsapo_ops.cli.options import SpecChoice
    from techsapo_ops.cli.output import Output

    file = tmp_path / "calibration.json"
    file.write_text("the new file", encoding="utf-8")

    def refuses(*_: object, **__: object) -> None:
        raise OpsError("not ready", "look at the log")

    monkeypatch.setattr("techsapo_ops.cli.app.calibrate._up", refuses)
    with pytest.raises(OpsError, match="not ready"):
        calibrate._apply(file, before, SpecChoice(None, None), Output(), yes=True)
    assert (file.read_text(encoding="utf-8") if file.exists() else None) == before


def test_apply_goes_where_the_spec_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told = write(tmp_path / "l.jsonl", labels(KNOWN, 60, "cli apply"))
    spec = tmp_path / "techsapo.yaml"
    spec.write_text("project: shop\n", encoding="utf-8")
    assert run(monkeypatch, str(told), "--apply", "-o", "x.json", "--file", str(spec)) == 2
    assert run(monkeypatch, str(told), "--apply", "--file", str(spec)) == 1
    assert "the spec names no calibration file" in capsys.readouterr().err
    spec.write_text(SPEC, encoding="utf-8")
    monkeypatch.setattr("techsapo_ops.cli.app.calibrate._up", lambda *_, **__: True)
    assert run(monkeypatch, str(told), "--apply", "--yes", "--file", str(spec)) == 0
    assert read(tmp_path / "calibration.json").labels == 60
