from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from panel_simulation.figures import NOW, labels, learnt, shown
from panel_simulation.panels import draw
from panel_simulation.settings import FRIENDLY, KNOWN, STUBBORN, A, B
from rows import each_row

from techsapo_ops.errors import OpsError
from techsapo_ops.wallbounce.verdict.calibration import Calibration, dumps, groups_of, loads
from techsapo_ops.wallbounce.verdict.learning import HALF_LIFE, estimate, inverse, learn, posterior
from techsapo_ops.wallbounce.verdict.proposal import (
    estimate_of,
    propose,
    share_right,
)
from techsapo_ops.wallbounce.verdict.record import (
    Labelled,
    Member,
    PanelRecord,
    PeerGrade,
    family_of,
)
from techsapo_ops.wallbounce.verdict.record import dumps as record_text
from techsapo_ops.wallbounce.verdict.record import loads as read_record
from techsapo_ops.wallbounce.verdict.verdict import PROVISIONAL, Estimate, Outcome, sigmoid

MADE = learnt(KNOWN, 120, "unit")


def record(*agrees: bool | None, models: tuple[str, ...] = ("alpha-1", "beta-1", "gamma-1")) -> PanelRecord:
    members = tuple(Member(m, m, family_of(m), a) for m, a in zip(models, agrees, strict=True))
    grades = tuple(PeerGrade(i, 0, 0.85 if a else 0.4) for i, a in enumerate(agrees) if i)
    others = [a for a in agrees[1:] if a is not None]
    a, g = sum(others) / len(others), sum(x.score for x in grades) / len(grades)
    return PanelRecord("premium", members, grades, 0, a, g, False, True, 0.8, 0.6, 0.5, Outcome.UNSETTLED)


def test_a_record_comes_back_as_it_was_written() -> None:
    made = record(True, None, False)
    assert read_record(record_text(made)) == made


@each_row(
    "model, family",
    [
        ("gpt-6.1-sol", "gpt"),
        ("anthropic/claude-sonnet-5.5", "claude"),
        ("qwen3-235b-a22b", "qwen"),
        ("3", "3"),
    ],
)
def test_a_family_is_the_first_word_of_a_name(model: str, family: str) -> None:
    assert family_of(model) == family


def test_a_posterior_finds_the_weights_that_made_the_outcomes() -> None:
    rows = [(((0, 1.0), (1, x / 10)), sigmoid(-1 + 0.3 * x), 400.0) for x in range(-20, 20)]
    mode, covariance = posterior(rows, [0.0, 0.0], [[0.01, 0.0], [0.0, 0.01]])
    assert mode == pytest.approx([-1.0, 3.0], abs=0.01)
    assert covariance[0][1] == pytest.approx(covariance[1][0])
    assert 0 < covariance[0][0] < 0.01


def test_an_inverse_undoes_its_matrix_even_where_its_first_pivot_is_zero() -> None:
    assert inverse([[0.0, 2.0], [4.0, 0.0]]) == [[0.0, 0.25], [0.5, 0.0]]


def test_without_labels_the_weights_are_provisional_and_wide_open() -> None:
    said = estimate(record(True, True, True), Calibration())
    assert Calibration().weights("basic", ["x", "y"], 0, [True, True]) is PROVISIONAL
    assert (said.labels, said.low) == (0, 0.0)
    assert learn([], NOW) == Calibration()


def test_at_thirty_labels_nothing_is_borne_out_as_nine_tenths_however_right_they_are() -> None:
    few = [replace(label, right=1.0) for label in labels(FRIENDLY, 30, "all right")]
    fitted = learn(few, NOW)
    assert max(estimate(label.record, fitted).low for label in few) < 0.9
    many = [replace(label, right=1.0) for label in labels(FRIENDLY, 200, "all right")]
    fitted = learn(many, NOW)
    assert max(estimate(label.record, fitted).low for label in many) > 0.9


def test_intervals_narrow_with_labels_and_hold_their_value() -> None:
    widths = []
    for count in (30, 300):
        fitted = learnt(KNOWN, count, "width", unlabelled=0)
        said = [shown(panel, fitted) for panel in draw(KNOWN, 50, "width fresh")]
        assert all(0 <= e.low <= e.value <= e.high <= 1 for e in said)
        widths.append(sum(e.high - e.low for e in said))
    assert widths[1] < 0.7 * widths[0]


def test_old_labels_fade_so_that_newer_ones_of_the_same_number_prevail() -> None:
    same = record(True, True, False)
    old = [Labelled(same, 1.0, NOW - 6 * HALF_LIFE)] * 40
    new = [Labelled(same, 0.0, NOW)] * 40
    assert estimate(same, learn([*old, *new], NOW)).value < 0.2
    assert estimate(same, learn([*old, *new], NOW - 6 * HALF_LIFE)).value == pytest.approx(0.5, abs=0.1)


def test_one_who_always_dissents_counts_for_nothing_and_the_two_others_are_accepted() -> None:
    fitted = learnt(STUBBORN, 60, "unit")
    worth = fitted.worth(("alpha-1", "beta-1", "gamma-1"), 0)
    assert worth[1] == 1
    assert worth[2] < 0.2
    agreeing = next(p for p in draw(STUBBORN, 50, "unit") if len(p.evidence.cluster) == 2)
    weights = fitted.weights(
        agreeing.tier, agreeing.models, agreeing.evidence.chosen, agreeing.evidence.stood
    )
    assert not agreeing.verdict().accepted
    assert agreeing.verdict(weights).accepted


def test_two_that_err_together_count_as_about_one() -> None:
    """alpha and beta always agree, right or wrong; gamma agrees with what is right."""
    told = [Labelled(record(True, True, True), 1.0, NOW)] * 40
    told += [Labelled(record(True, True, False), 0.0, NOW)] * 20
    fitted = learn(told, NOW)
    twin, other = fitted.worth(("alpha-1", "beta-1", "gamma-1"), 0)[1:]
    assert twin < 0.3
    assert other == 1
    assert estimate(record(True, True, False), fitted).value < 0.35


def test_a_new_model_starts_from_its_family_and_a_new_family_from_nothing() -> None:
    known, kin, stranger = (
        MADE.weights("premium", ("alpha-1", "beta-1", name), 2, (True, False, True))
        for name in ("gamma-1", "gamma-2", "omega-1")
    )
    assert known.covariance[0][0] < kin.covariance[0][0] < stranger.covariance[0][0]
    assert kin.mean[1:] == known.mean[1:]
    assert stranger.labels == known.labels == 120


def test_where_all_agree_it_says_nothing_who_is_among_them() -> None:
    models = ("alpha-1", "beta-1", "gamma-1")
    shares = groups_of("premium", models, 1, (True, True, True))
    assert {group for group, share in shares.items() if share} == {"tier premium"}
    shares = groups_of("premium", models, 1, (False, True, None))
    assert (shares["model alpha-1"], shares["model beta-1"]) == (-1, 1)
    assert "model gamma-1" not in shares


def test_an_answer_of_those_who_have_been_right_against_others_is_surer() -> None:
    told = [Labelled(record(True, True, False), 1.0, NOW)] * 20
    turned = ("gamma-1", "beta-1", "alpha-1")
    told += [Labelled(record(True, True, False, models=turned), 0.0, NOW)] * 20
    fitted = learn(told, NOW)
    with_alpha = estimate(record(True, True, False), fitted).value
    assert with_alpha > estimate(record(True, True, False, models=turned), fitted).value + 0.3


def test_records_without_a_label_show_who_dissents_before_many_labels_do() -> None:
    few = labels(STUBBORN, 5, "few")
    others = [panel.record() for panel in draw(STUBBORN, 100, "unlabelled")]
    models = ("alpha-1", "beta-1", "gamma-1")
    with_others = learn(few, NOW, others).worth(models, 0)[2]
    assert with_others <= learn(few, NOW).worth(models, 0)[2]


def test_a_calibration_file_comes_back_as_it_was_written() -> None:
    assert loads(dumps(MADE), "x.json") == MADE
    assert MADE.key != Calibration().key


@each_row(
    "content, told",
    [
        ("", "is not a calibration file"),
        ("[" * 100_000, "is not a calibration file"),
        ("[]", "is not a calibration file"),
        ('{"format": 3, "fits": []}', ": format is"),
        ('{"format": 4, "calibration": {"labels": "x"}}', r": calibration\.labels is"),
        ('{"format": 4, "calibration": {"labels": 3, "mean": [1, 2]}}', r": calibration\.covariance is"),
        ('{"format": 4, "calibration": {"labels": 3, "mean": [NaN]}}', r": calibration\.mean\.0 is"),
        ('{"format": 4, "calibration": {"labels": -5}}', r": calibration\.labels is"),
        (f'{{"format": 4, "calibration": {{"labels": 1{"0" * 400}}}}}', r": calibration\.labels is"),
        ('{"format": 4, "calibration": {"until": "2026-12-02T09:00:00"}}', r": calibration\.until is"),
        (
            '{"format": 4, "calibration": {"voices": {"a": {"right": NaN}}}}',
            r": calibration\.voices\.a\.right is",
        ),
    ],
)
def test_a_broken_calibration_file_is_refused_by_name(content: str, told: str) -> None:
    with pytest.raises(OpsError, match=told) as caught:
        loads(content, "weights.json")
    assert caught.value.message.startswith("weights.json")


def test_a_proposal_does_better_than_provisional_weights_on_what_it_did_not_see() -> None:
    made = propose(labels(KNOWN, 120, "propose"), Calibration(), NOW)
    assert made.new == 120
    assert made.proposed < made.current
    assert not made.worse
    assert made.right.low < made.right.value < made.right.high


def test_fewer_than_ten_new_labels_are_no_reason_for_a_proposal() -> None:
    known = labels(KNOWN, 40, "known")
    current = learn(known, NOW)
    later = [replace(label, at=NOW + timedelta(days=1)) for label in labels(KNOWN, 9, "later")]
    with pytest.raises(OpsError, match="9 labels are new"):
        propose([*known, *later], current, NOW)


def test_a_proposal_from_labels_that_contradict_each_other_is_worse() -> None:
    """What is learnt from turned labels does badly on true ones; both are new."""
    turned = [replace(label, right=1 - label.right, at=NOW) for label in labels(KNOWN, 200, "turned")]
    current = learn(labels(KNOWN, 300, "good"), NOW - timedelta(days=9))
    current = replace(current, until=NOW + timedelta(hours=1))
    true = [replace(label, at=NOW + timedelta(days=1)) for label in labels(KNOWN, 20, "true")]
    assert propose([*turned, *true], current, NOW).worse


def test_panel_grades_narrow_the_interval_of_the_share_that_is_right() -> None:
    told = [(float(n % 4 > 0), 0.9 if n % 4 > 0 else 0.2 + 0.01 * (n % 3)) for n in range(100)]
    many = [0.9, 0.9, 0.9, 0.2] * 500
    plain, powered = estimate_of(75, 100), share_right(told, many)
    assert powered.low <= 0.75 <= powered.high
    assert powered.high - powered.low < 0.5 * (plain.high - plain.low)
    assert share_right(told, []) == plain
    assert share_right([(1.0, 0.9)] * 30, many) == estimate_of(30, 30)
    assert estimate_of(0, 0) == Estimate(0.5, 0.0, 1.0, 0)


def test_voices_of_the_usual_panel_all_count() -> None:
    assert min(MADE.worth((A.model, B.model, "gamma-1"), 0)) > 0.2
