"""What a kind is on each of several machines, and that it stays the same kind there."""

from __future__ import annotations

from pathlib import Path

from machines_spec import machines_topology
from stacks import spec, topology

from techsapo_ops.services.registry import kind_of, kinds_in
from techsapo_ops.services.runtime import runtime_of
from techsapo_ops.stack.service import HERE, Machine


def test_a_member_is_of_its_kind_and_has_what_is_beside_that() -> None:
    where = machines_topology()
    differ = set()
    for service in where.services:
        member, alone = kind_of(service), kind_of(service.kind)
        assert (member.name, member.facts) == (alone.name, alone.facts)
        for beside in ("backup", "switchover"):
            assert member.beside(beside) is alone.beside(beside)
        if member is not alone:
            differ.add(service.kind)
            assert isinstance(member, type(alone))
            assert member.member is member
    assert {"redis", "mysql", "nginx"} <= differ
    assert [kind.name for kind in kinds_in(where)] == list(dict.fromkeys(s.kind for s in where.services))


def test_only_a_member_has_a_role_and_a_runtime_of_its_own(tmp_path: Path) -> None:
    alone, several = topology(spec(mysql={}), tmp_path), machines_topology()
    for kind in ("redis", "mysql"):
        here, there = alone.of_kind(kind)[0], several.of_kind(kind)[0]
        assert runtime_of(here).role_question(alone, here) is None
        assert runtime_of(there).role_question(several, there) is not None
        assert isinstance(runtime_of(there), type(runtime_of(here)))
        assert runtime_of(there) is not runtime_of(here)


def test_nothing_is_called_after_the_only_machine() -> None:
    a = Machine("a", "10.0.0.1", "ssh://ops@a")
    assert (a.named("redis"), a.labelled("host", "a"), a.reached("::1")) == (
        "redis-a",
        {"host": "a"},
        "10.0.0.1",
    )
    assert (HERE.named("redis"), HERE.labelled("host", ""), HERE.reached("::1")) == ("redis", {}, "::1")
