"""Where each change of a plan comes from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rows import each_row
from stacks import host, spec, topology

from techsapo_ops.adapters.build import build
from techsapo_ops.apply import origin
from techsapo_ops.apply.changes import changes
from techsapo_ops.apply.generate import write_files
from techsapo_ops.apply.ledger import Ledger
from techsapo_ops.apply.ledger_entry import LedgerEntry
from techsapo_ops.apply.plan import desired_state
from techsapo_ops.apply.snapshot import Snapshot
from techsapo_ops.apply.steps import with_new_build
from techsapo_ops.engines import planning
from techsapo_ops.render.templates import Templates
from techsapo_ops.stack.desired import Desired
from techsapo_ops.stack.observed import Observed, ObservedService, State
from techsapo_ops.stack.step import Plan
from techsapo_ops.stack.topology import Topology

REDIS = "redis/redis.conf"
OFF = {"enabled": False}
SMALL: dict[str, Any] = {"monitoring": dict.fromkeys(("prometheus", "alertmanager", "grafana"), OFF)}
"""Without the files of the monitoring, most of what a whole stack takes to be rendered."""
SECTIONS: dict[str, Any] = {"redis": {"maxmemory": "256mb"}}


def render(where: Topology, overrides: Mapping[str, str] | None) -> Desired:
    return desired_state(where, Templates(None, overrides))


def never(*_: object) -> Desired:
    raise AssertionError("nothing needs to be rendered again")


def wanted(
    folder: Path, python: str = "", overrides: Mapping[str, str] | None = None, **sections: Any
) -> Snapshot:
    model = spec(**SMALL, **(sections or SECTIONS))
    facts = replace(host(), python=python or host().python)
    where = topology(model, folder, facts=facts)
    return Snapshot(desired_state(where, Templates(None, overrides)), model, overrides or {})


def record(snapshot: Snapshot, version: str = "", **more: Any) -> None:
    ledger = Ledger(snapshot.desired.topology.layout.state)
    entry = LedgerEntry(
        id=ledger.next_id(), time=datetime(2026, 1, 31, tzinfo=UTC), user="alice", command="up",
        version=version or build(), engine="native", environment=None, spec_hash="",
        state=ledger.save_state(snapshot), identity=snapshot.identity, result="ok",
    )  # fmt: skip
    ledger.record(replace(entry, **more))
    write_files(snapshot.desired.files, snapshot.desired.topology, force=True)


def running(snapshot: Snapshot, **changed: Any) -> Observed:
    """All services as `snapshot` wants them; `changed` is what differs of Redis."""
    desired = snapshot.desired
    found = {}
    for unit in desired.units:
        seen = ObservedService(
            unit.service, unit.service, State.RUNNING, 1, fingerprint=unit.fingerprint,
            config=unit.config_digest(desired.files), files=planning.file_digests(unit, desired.files),
        )  # fmt: skip
        found[unit.service] = replace(seen, **changed) if unit.service == "redis" else seen
    return Observed(True, found)


def found(
    new: Snapshot, observed: Observed, again: Callable[..., Desired] = render, steps: Plan | None = None
) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Origins of files and of services."""
    steps = steps or with_new_build(planning.plan(new.desired, observed), observed)
    files = changes(new.desired.files, new.desired.topology.layout.config)
    told = origin.find(new, steps, files, observed, again)
    return (
        {path: [str(o) for o in origins] for path, origins in told.files.items()},
        {name: [str(o) for o in origins] for name, origins in told.services.items()},
    )


def older(snapshot: Snapshot, path: str = REDIS, line: str = "# as an older version wrote it\n") -> Snapshot:
    """`snapshot` as another version would have rendered it."""
    files = tuple(
        replace(f, content=f.content + line) if f.path == path else f for f in snapshot.desired.files
    )
    return replace(snapshot, desired=replace(snapshot.desired, files=files))


def test_the_first_plan_is_a_first_start(tmp_path: Path) -> None:
    files, services = found(wanted(tmp_path), Observed(False), never)
    assert {tuple(o) for o in (*files.values(), *services.values())} == {("first",)}


def test_a_changed_spec_is_named_and_nothing_is_rendered_again(tmp_path: Path) -> None:
    before = wanted(tmp_path)
    record(before)
    files, services = found(wanted(tmp_path, redis={"maxmemory": "64mb"}), running(before), never)
    assert (files[REDIS], services["redis"]) == (["spec"], ["spec"])


def test_both_origins_of_one_change_are_named(tmp_path: Path) -> None:
    before = older(wanted(tmp_path))
    record(before, version="0.1.0")
    files, services = found(wanted(tmp_path, redis={"maxmemory": "64mb"}), running(before))
    assert (files[REDIS], services["redis"]) == (["version", "spec"], ["version", "spec"])


def test_another_python_on_the_host_is_the_hosts(tmp_path: Path) -> None:
    before = wanted(tmp_path)
    record(before)
    files, services = found(wanted(tmp_path, python="/usr/bin/python3"), running(before))
    assert files["supervisor/supervisord.conf"] == ["host"]
    assert services == {"app": ["host"], "scheduler": ["host"]}


def test_an_edited_template_is_the_users_also_with_a_new_version(tmp_path: Path) -> None:
    name, text = "redis/redis.conf.j2", '{% include "builtin/redis/redis.conf.j2" %}\n# mine\n'
    before = wanted(tmp_path, overrides={name: text})
    record(before, version="0.1.0")
    files, services = found(wanted(tmp_path, overrides={name: text + "# more\n"}), running(before))
    assert {tuple(o) for o in files.values()} == {("spec",)}
    assert services == {"redis": ["spec"]}


def test_a_file_edited_by_hand_and_one_that_is_missing_are_of_outside(tmp_path: Path) -> None:
    new = wanted(tmp_path)
    record(new)
    folder = new.desired.topology.layout.config
    (folder / REDIS).write_text("edited")
    (folder / "app/techsapo.yaml").unlink()
    files, _ = found(new, running(new), never)
    assert files == {REDIS: ["outside"], "app/techsapo.yaml": ["outside"]}
    files, _ = found(wanted(tmp_path, redis={"maxmemory": "64mb"}), running(new), never)
    assert files[REDIS] == ["spec", "outside"]


@each_row(
    "changed, expected",
    [
        ({"state": State.CRASHED}, "ended"),
        ({"state": State.BACKOFF}, "ended"),
        ({"state": State.STOPPED}, "start"),
        ({"state": State.STOPPED, "gone": True}, "outside"),
        ({"drift": "its container was made anew by someone else"}, "outside"),
        ({"fingerprint": ""}, "unfinished"),
        ({"fingerprint": "another"}, "outside"),
        ({"build": "0.2.0+0000000000.000000", "outdated": True}, "version"),
        ({"build": "", "outdated": True}, "version"),
    ],
)
def test_what_none_of_the_three_explains_has_an_origin_too(
    tmp_path: Path, changed: dict[str, Any], expected: str
) -> None:
    new = wanted(tmp_path)
    record(new)
    assert found(new, running(new, **changed), never) == ({}, {"redis": [expected]})


def test_a_damaged_ledger_is_no_reason_not_to_plan(tmp_path: Path) -> None:
    before = wanted(tmp_path)
    record(before)
    ledger = Ledger(before.desired.topology.layout.state)
    current = ledger.current()
    (ledger.folder / "objects" / current.state).write_text("{")
    files, _ = found(wanted(tmp_path, redis={"maxmemory": "64mb"}), running(before), never)
    assert files[REDIS] == ["unknown"]
