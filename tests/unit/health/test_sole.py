"""What one of a kind alone may have."""

from __future__ import annotations

from rows import each_row

from techsapo_ops.health.sole import with_one_of_each
from techsapo_ops.stack.health import HealthPart, PartStatus


def parts(*sole: bool | None) -> list[HealthPart]:
    found = [
        HealthPart(f"redis-{host}", "redis", PartStatus.HEALTHY, "said", sole=each)
        for host, each in zip("abc", sole, strict=False)
    ]
    return [*found, HealthPart("app-1-a", "app", PartStatus.HEALTHY, "HTTP 200")]


def told(*sole: bool | None) -> list[tuple[str, str]]:
    return [(str(part.status), part.detail) for part in with_one_of_each(parts(*sole))]


@each_row("sole", [(True, False, False), (False, False, None), (None, None, None), ()])
def test_one_that_has_it_is_well_and_so_are_those_of_which_one_did_not_say(
    sole: tuple[bool | None, ...],
) -> None:
    assert with_one_of_each(parts(*sole)) == parts(*sole)


def test_two_that_have_it_are_degraded_and_named() -> None:
    assert told(True, False, True) == [
        ("degraded", "said; and so is or has redis-c, where one alone should"),
        ("healthy", "said"),
        ("degraded", "said; and so is or has redis-a, where one alone should"),
        ("healthy", "HTTP 200"),
    ]


def test_where_none_has_it_all_of_the_kind_are_degraded() -> None:
    assert told(False, False, False) == [
        *[("degraded", "said; and none of the others has it")] * 3,
        ("healthy", "HTTP 200"),
    ]
