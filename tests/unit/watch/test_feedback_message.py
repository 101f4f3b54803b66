"""The message about answers: what is asked about, and when new weights are proposed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from panel_simulation.figures import labels
from panel_simulation.settings import KNOWN

from techsapo_ops.wallbounce.evaluation import OWN_REQUESTS
from techsapo_ops.wallbounce.feedback.judged import Judged
from techsapo_ops.wallbounce.verdict.calibration import dumps
from techsapo_ops.wallbounce.verdict.learning import learn
from techsapo_ops.wallbounce.verdict.record import Member, PanelRecord
from techsapo_ops.wallbounce.verdict.verdict import Outcome
from techsapo_ops.watch import feedback

PANEL = PanelRecord(
    "basic", (Member("a", "1", "a", True),), (), 0, 1.0, 0.9, False, True, 0.8, 0.6, 0.77, Outcome.ACCEPTED
)
MONDAY = datetime(2026, 11, 30, 12, tzinfo=UTC)


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(feedback, "labelled", tuple)
    spec = SimpleNamespace(wallbounce=SimpleNamespace(calibration="calibration.json"))
    layout = SimpleNamespace(spec_file=tmp_path / "techsapo.yaml", config=tmp_path / "generated")
    return SimpleNamespace(spec=spec, layout=layout)


def test_ten_new_labels_are_named_on_mondays_alone(stack: Any) -> None:
    ten: Any = labels(KNOWN, 10, "ten")
    assert "10 labels are new" in str(feedback.proposal_line(stack, ten, MONDAY))
    assert feedback.proposal_line(stack, ten[:9], MONDAY) is None
    assert feedback.proposal_line(stack, ten, MONDAY + timedelta(days=1)) is None
    stack.spec.wallbounce.calibration = None
    assert "10 labels are new" in str(feedback.proposal_line(stack, ten, MONDAY)), "no file is named yet"


def test_labels_that_the_weights_know_are_not_new(stack: Any, tmp_path: Path) -> None:
    ten: Any = labels(KNOWN, 10, "ten")
    (tmp_path / "calibration.json").write_text(dumps(learn(ten, MONDAY)), encoding="utf-8")
    assert feedback.proposal_line(stack, ten, MONDAY) is None


def test_labels_are_new_where_the_weights_that_know_them_were_never_applied(
    stack: Any, tmp_path: Path
) -> None:
    ten: Any = labels(KNOWN, 10, "ten")
    app = tmp_path / "generated" / "app"
    app.mkdir(parents=True)
    (app / "techsapo.yaml").touch()
    (tmp_path / "calibration.json").write_text(dumps(learn(ten, MONDAY)), encoding="utf-8")
    assert "10 labels are new" in str(feedback.proposal_line(stack, ten, MONDAY))


def test_nobody_is_asked_about_simulated_answers_nor_about_those_to_an_evaluation_s_questions() -> None:
    analyses = [
        Judged(PANEL, (request,), MONDAY, 0.1, simulated)
        for request, simulated in (("simulated", True), (f"{OWN_REQUESTS}1", False), ("asked", False))
    ]
    assert [each.requests for each in feedback.picked(analyses, MONDAY)] == [("asked",)]
