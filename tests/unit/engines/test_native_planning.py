"""From what runs to what is wanted: pure computations."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rows import each_row
from stacks import spec, topology

from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.engines.planning import in_order, plan, select
from techsapo_ops.errors import OpsError
from techsapo_ops.services.registry import programs
from techsapo_ops.stack.desired import Desired, RenderedFile
from techsapo_ops.stack.observed import Observed, ObservedService, State
from techsapo_ops.stack.step import Action
from techsapo_ops.stack.topology import Topology

CASES: list[dict[str, Any]] = read_yaml(
    (Path(__file__).parents[2] / "cases" / "plan_steps.yaml").read_text(encoding="utf-8")
)
FILES = (RenderedFile("prometheus/prometheus.yml", "global: {}\n"),)


def wanted(**sections: Any) -> Desired:
    model = spec(**sections)
    where = topology(model, Path("/srv/techsapo"))
    return Desired(where, FILES, programs(where))


def up_to_date(desired: Desired) -> dict[str, ObservedService]:
    services = {s.name: s for s in desired.topology.services}
    return {
        p.service: ObservedService(
            p.service, services[p.service].kind, State.RUNNING, pid=1, fingerprint=p.fingerprint,
            config=p.config_digest(desired.files), port=services[p.service].port,
            files={f.path: f.digest for f in FILES if f.path.startswith(p.config or ("-",))},
        )
        for p in desired.units
    }  # fmt: skip


@each_row("case", CASES, ids=[c["name"] for c in CASES])
def test_a_step_follows_from_how_the_service_is_seen(case: dict[str, Any]) -> None:
    desired = wanted()
    seen = up_to_date(desired)
    if case["seen"] is None:
        del seen["prometheus"]
    else:
        changed = {k: State(v) if k == "state" else v for k, v in case["seen"].items()}
        seen["prometheus"] = replace(seen["prometheus"], **changed)
    steps = {s.service: s for s in plan(desired, Observed(True, seen)).steps}
    assert (str(steps["prometheus"].action), steps["prometheus"].reason) == (case["action"], case["reason"])
    assert {s.action for name, s in steps.items() if name != "prometheus"} == {Action.NOTHING}


def test_without_its_supervisor_every_service_is_created() -> None:
    desired = wanted()
    steps = plan(desired, Observed(False, up_to_date(desired))).steps
    assert {s.action for s in steps} == {Action.CREATE}


def test_a_service_comes_after_all_that_it_needs() -> None:
    desired = wanted(mysql={}, app={"instances": [{"port": 4000}, {"port": 4001}]})
    order = [s.service for s in plan(desired, Observed(False)).steps]
    for service in desired.topology.services:
        assert all(order.index(need) < order.index(service.name) for need in service.needs)


def test_a_removed_service_goes_first_only_when_another_takes_its_port() -> None:
    before = up_to_date(wanted(app={"instances": [{"port": 4000}, {"port": 4001}, {"port": 4002}]}))
    smaller = plan(wanted(app={"instances": [{"port": 4000}, {"port": 4001}]}), Observed(True, before)).steps
    assert (smaller[-1].service, smaller[-1].action) == ("app-3", Action.REMOVE)
    single = plan(wanted(), Observed(True, before)).steps
    assert (single[0].service, single[0].action) == ("app-1", Action.REMOVE)
    assert {s.service for s in single if s.action is Action.REMOVE} >= {"app-1", "app-2", "app-3", "nginx"}


def test_only_some_services_means_them_and_what_they_need_and_removes_nothing() -> None:
    desired = wanted(mysql={}, app={"instances": [{"port": 4000}, {"port": 4001}]})
    seen = {**up_to_date(desired), "old": ObservedService("old", "redis", State.RUNNING)}
    steps = plan(desired, Observed(True, seen), ["nginx"]).steps
    assert {s.service for s in steps} == {"redis", "mysql", "app-1", "app-2", "nginx"}
    assert select(desired.topology, ["app"]) == ("redis", "mysql", "app-1", "app-2")


@each_row("word, hint", [("promethes", "did you mean prometheus?"), ("zzz", "known: ")])
def test_an_unknown_service_is_an_error_with_a_suggestion(word: str, hint: str) -> None:
    with pytest.raises(OpsError, match=f"no service {word}") as caught:
        select(wanted().topology, [word])
    assert hint in caught.value.hint


def test_services_that_need_each_other_in_a_circle_are_an_error() -> None:
    where: Topology = wanted().topology
    circle = tuple(replace(s, needs=("app",)) if s.name == "redis" else s for s in where.services)
    with pytest.raises(OpsError, match="circle: app, redis"):
        in_order(replace(where, services=circle), ["app", "redis"])
