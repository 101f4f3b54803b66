from __future__ import annotations

from rows import each_row

from techsapo_ops.health.report import HealthReport, Status
from techsapo_ops.stack.health import HealthPart, PartStatus

UP, WRONG, GONE = PartStatus.HEALTHY, PartStatus.DEGRADED, PartStatus.DOWN


def part(kind: str, status: PartStatus, *, vital: bool = False) -> HealthPart:
    return HealthPart(kind, kind, status, "", vital=vital or kind in {"app", "nginx", "disk"})


@each_row(
    "parts, expected",
    [
        ([("app", UP), ("disk", UP)], Status.HEALTHY),
        ([("app", UP), ("app", GONE)], Status.DEGRADED),
        ([("app", GONE), ("app", GONE), ("redis", UP)], Status.DOWN),
        ([("app", WRONG)], Status.DEGRADED),
        ([("app", UP), ("nginx", GONE)], Status.DOWN),
        ([("app", UP), ("nginx", WRONG)], Status.DEGRADED),
        ([("app", UP), ("disk", GONE)], Status.DOWN),
        ([("app", UP), ("disk", WRONG)], Status.DEGRADED),
        ([("app", UP), ("redis", GONE), ("mysql", GONE), ("prometheus", GONE)], Status.DEGRADED),
        ([("app", UP), ("grafana", PartStatus.ABSENT)], Status.HEALTHY),
        ([("app", UP), ("target", PartStatus.STARTING)], Status.HEALTHY),
        ([("app", UP), ("target", GONE)], Status.DEGRADED),
        ([("redis", UP)], Status.HEALTHY),
    ],
)
def test_the_stack_is_as_well_as_its_parts_let_it_be(
    parts: list[tuple[str, PartStatus]], expected: Status
) -> None:
    assert HealthReport(tuple(part(*each) for each in parts), 0.0).status is expected
