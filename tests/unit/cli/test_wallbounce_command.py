from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from rows import each_row

from techsapo_ops.cli import main as cli
from techsapo_ops.wallbounce.verdict.calibration import loads
from techsapo_ops.wallbounce.verdict.verdict import PROVISIONAL


def write(path: Path, count: int, *, right: bool | None = None) -> Path:
    draw = random.Random(1)
    lines = []
    for _ in range(count):
        a, g = draw.choice((0.0, 0.5, 1.0)), draw.random()
        correct = draw.random() < PROVISIONAL.raw(a, g) if right is None else right
        told = {"tier": "premium", "models": ["x", "y", "z"], "agreement": a, "grade": g, "correct": correct}
        lines.append(json.dumps(told))
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def run(monkeypatch: pytest.MonkeyPatch, *argv: str) -> int:
    monkeypatch.setattr("sys.argv", ["techsapo", "answers", "calibrate", *argv])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    return int(caught.value.code or 0)


def test_weights_are_written_and_the_figures_printed_beside_the_mean_of_scores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    labels, output = write(tmp_path / "l.jsonl", 600), tmp_path / "weights.json"
    assert run(monkeypatch, str(labels), "--output", str(output)) == 0
    captured = capsys.readouterr()
    first, *lines = captured.out.splitlines()
    assert first.endswith(": 600 labels")
    assert {line.split()[0] for line in lines} >= {"ece", "auroc", "brier"}
    assert "FITTED   " in captured.out
    assert "the ECE is only a rough figure" in captured.err
    (fit,) = loads(output.read_text(encoding="utf-8"), "weights.json").fits
    assert (fit.tier, fit.models, fit.labels) == ("premium", ("x", "y", "z"), 600)
    assert fit.weights.grade == pytest.approx(4.5, abs=1.2)


@each_row("count, right", [(20, None), (200, True)])
def test_too_few_labels_or_one_outcome_write_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    count: int,
    right: bool | None,
) -> None:
    labels, output = write(tmp_path / "l.jsonl", count, right=right), tmp_path / "w.json"
    assert run(monkeypatch, str(labels), "-o", str(output)) == 1
    assert not output.exists()
    assert "no set of models has enough labels to fit" in capsys.readouterr().err


def test_a_wrong_line_is_told_by_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = write(tmp_path / "l.jsonl", 3)
    labels.write_text(labels.read_text(encoding="utf-8") + "\n{}\n", encoding="utf-8")
    assert run(monkeypatch, str(labels)) == 1
    assert "l.jsonl:4 lacks tier" in capsys.readouterr().err
