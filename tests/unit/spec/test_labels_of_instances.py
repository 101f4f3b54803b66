"""Labels of several instances without a database: said where the spec shows that answers are labelled."""

from __future__ import annotations

from collections.abc import Callable

from rows import each_row

from techsapo_ops.spec.load import LoadedSpec

Loader = Callable[..., LoadedSpec]

SEVERAL = "app: {instances: [{port: 4001}, {port: 4002}]}"
STORED = "audit: {prompt: masked, answers: masked}"
LEARNT = "wallbounce: {calibration: calibration.json}"


@each_row(
    "lines, place",
    [
        ((SEVERAL, STORED), "audit.answers"),
        ((SEVERAL, LEARNT), "wallbounce.calibration"),
        ((SEVERAL,), ""),
        ((STORED, LEARNT), ""),
        ((SEVERAL, STORED, "mysql: {}"), ""),
    ],
)
def test_instances_that_share_no_labels_are_named_where_answers_are_labelled(
    loaded: Loader, lines: tuple[str, ...], place: str
) -> None:
    warnings = [str(warning) for warning in loaded("\n".join(["project: x", *lines])).warnings]
    about = [warning for warning in warnings if "labels only for its own answers" in warning]
    assert [place in warning for warning in about] == ([True] if place else [])
