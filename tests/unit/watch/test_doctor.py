"""What doctor says of a host: programs, ports, disks, users, exposures, models that end, what waits."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from fakes.debian import Debian
from fakes.open_stacks import Seen, open_stack
from rows import each_row
from servers import free_port
from stacks import THREE_INSTANCES, host, spec, topology

from techsapo_ops.adapters.apt import Apt
from techsapo_ops.adapters.host_facts import HostFacts
from techsapo_ops.adapters.packages import Packages
from techsapo_ops.adapters.process import Command, Completed
from techsapo_ops.adapters.resources import Room
from techsapo_ops.adapters.units import Units
from techsapo_ops.engines.host_report import DockerFacts, report_of_docker, report_of_programs
from techsapo_ops.errors import OpsError
from techsapo_ops.services.registry import resolve
from techsapo_ops.spec.models import Spec
from techsapo_ops.stack.health import HostFinding, Level
from techsapo_ops.stack.layout import Layout
from techsapo_ops.stack.observed import Observed, ObservedService, State
from techsapo_ops.stack.places import COMPOSE, NATIVE
from techsapo_ops.stack.stack import Stack
from techsapo_ops.stack.topology import Topology
from techsapo_ops.watch.doctor import diagnosis as doctor
from techsapo_ops.watch.doctor.checks import Waiting, finding, look, look_at_exposure, look_at_models
from techsapo_ops.watch.doctor.diagnosis import Diagnosis, repair

ALL = {
    name: f"/usr/bin/{name}"
    for name in (
        *("nginx", "redis-server", "mariadbd", "prometheus", "prometheus-alertmanager"),
        *("prometheus-node-exporter", "prometheus-redis-exporter", "prometheus-nginx-exporter"),
        "prometheus-blackbox-exporter",
        *("promtool", "amtool", "logrotate", "setpriv", "apt-get"),
    )
}


def free_ports() -> dict[str, object]:
    return {
        "project": "techsapo",
        "app": {"port": free_port()},
        "redis": {"port": free_port()},
        "monitoring": {
            "prometheus": {"port": free_port()},
            "alertmanager": {"port": free_port()},
            "exporters": {"node": free_port(), "redis": free_port()},
        },
    }


def stack(state: Path, binaries: dict[str, str], **host: object) -> tuple[Spec, Topology]:
    spec = Spec.model_validate(free_ports())
    facts = HostFacts("/usr/bin/python3", binaries=binaries, **host)
    return spec, resolve(spec, NATIVE, Layout(state, state / "generated"), facts)


def examine(_: Spec, topology: Topology) -> Diagnosis:
    return doctor.examine(open_stack(topology), report_of_programs(topology))


def examine_docker(topology: Topology, docker: DockerFacts) -> Diagnosis:
    return doctor.examine(open_stack(topology), report_of_docker(topology, docker))


def by_name(diagnosis: Diagnosis) -> dict[str, HostFinding]:
    return {f.name: f for f in diagnosis.findings}


def test_a_host_with_everything_is_complete(tmp_path: Path) -> None:
    diagnosis = examine(*stack(tmp_path / ".techsapo", ALL))
    assert diagnosis.complete
    assert diagnosis.packages == ()
    assert by_name(diagnosis)["grafana"].level is Level.NOTE


def test_each_missing_part_names_its_debian_package(tmp_path: Path) -> None:
    diagnosis = examine(*stack(tmp_path / ".techsapo", {}))
    assert not diagnosis.complete
    assert not diagnosis.apt
    assert by_name(diagnosis)["redis"].package == "redis-server"
    assert set(diagnosis.packages) == {
        "redis-server", "prometheus", "prometheus-alertmanager", "prometheus-node-exporter",
        "prometheus-redis-exporter", "prometheus-blackbox-exporter", "logrotate", "util-linux",
    }  # fmt: skip


def test_a_port_taken_by_a_stranger_names_it_and_the_setting(tmp_path: Path) -> None:
    spec, topology = stack(tmp_path / ".techsapo", ALL)
    port = spec.monitoring.prometheus.port
    with socket.create_server(("127.0.0.1", port)):
        diagnosis = examine(spec, topology)
    finding = by_name(diagnosis)[f"port {port}"]
    assert not diagnosis.complete
    assert f"pid {os.getpid()}" in finding.detail
    assert "monitoring.prometheus.port" in finding.remedy


def test_a_port_held_by_this_stack_is_fine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = tmp_path / ".techsapo"
    state.mkdir()
    monkeypatch.chdir(state)
    spec, topology = stack(state, ALL)
    with socket.create_server(("127.0.0.1", spec.app.port)):
        diagnosis = examine(spec, topology)
    assert diagnosis.complete
    assert "app of this stack" in by_name(diagnosis)[f"port {spec.app.port}"].detail


@each_row(
    "free, inodes, read_only, kind, level, words",
    [
        (0.5, 0.5, False, "ext4", Level.OK, "on ext4"),
        (0.5, 0.5, True, "ext4", Level.MISSING, "read-only"),
        (0.01, 0.5, False, "ext4", Level.MISSING, "full"),
        (0.5, 0.01, False, "ext4", Level.MISSING, "full"),
        (0.05, 0.5, False, "ext4", Level.WARNING, "nearly full"),
        (0.5, 0.5, False, "nfs4", Level.WARNING, "network"),
        (0.5, 0.5, False, "", Level.OK, "unknown file system"),
    ],
)
def test_the_state_directory_s_disk_is_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: float, inodes: float, read_only: bool, kind: str,
    level: Level, words: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(doctor, "room", lambda path: Room(tmp_path, 10, 100, free, inodes, read_only))
    monkeypatch.setattr(doctor, "file_system", lambda path: kind)
    found = by_name(examine(*stack(tmp_path, ALL)))["state directory"]
    assert found.level is level
    assert words in found.detail


def test_root_is_told_about_the_app_s_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def level(**host: object) -> Level:
        return by_name(examine(*stack(tmp_path, ALL, root=True, **host)))["user techsapo"].level

    monkeypatch.setattr(doctor, "user_exists", lambda name: False)
    assert level() is Level.WARNING
    assert examine(*stack(tmp_path, ALL, root=True)).wants_user
    monkeypatch.setattr(doctor, "user_exists", lambda name: True)
    assert level() is Level.NOTE
    both = frozenset({"techsapo"})
    assert (
        "can't run" in by_name(examine(*stack(tmp_path, ALL, root=True, users=both)))["user techsapo"].detail
    )
    assert level(users=both, app_users=both) is Level.OK
    assert "user techsapo" not in by_name(examine(*stack(tmp_path, ALL)))


@each_row("version, level", [("26.1.5+dfsg1", Level.OK), ("25.0.0", Level.OK), ("20.10.24", Level.MISSING)])
def test_a_daemon_that_refuses_the_files_is_named_once(tmp_path: Path, version: str, level: Level) -> None:
    spec = Spec.model_validate({**free_ports(), "engine": "compose"})
    facts = HostFacts("python3", binaries={"docker": "/usr/bin/docker"})
    topology = resolve(spec, COMPOSE, Layout(tmp_path, tmp_path), facts)
    found = examine_docker(topology, DockerFacts(version, "2.26.1")).findings
    assert [(f.level, version in f.detail) for f in found if f.name == "docker"] == [(level, True)]


@dataclass
class Calls:
    calls: list[str] = field(default_factory=list)
    code: int = 0

    def run(self, command: Command, *, timeout: float = 60.0) -> Completed:
        self.calls.append(str(command))
        return Completed(command, self.code, b"", b"no such thing")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists/x_Packages").touch()
    return tmp_path


def port_of(calls: Calls, place: Path) -> Apt:
    return Apt(calls, Units(calls, None), place / "policy-rc.d", place / "lists")


def test_repair_adds_the_user_and_installs_what_is_missing(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "user_exists", lambda name: False)
    binaries = {k: v for k, v in ALL.items() if k != "prometheus-node-exporter"}
    diagnosis = examine(*stack(place / "s", binaries, root=True))
    calls, said = Calls(), []
    done = repair(diagnosis, port_of(calls, place), calls, said.append)
    assert done.user_added
    assert done.installed.packages == ("prometheus-node-exporter",)
    assert calls.calls[0].startswith("useradd --system ")
    assert calls.calls[-1].endswith("install --yes --no-install-recommends -- prometheus-node-exporter")
    assert said == ["adding system user techsapo", "installing prometheus-node-exporter"]


def test_repair_refuses_without_root_or_apt(place: Path) -> None:
    diagnosis = examine(*stack(place, {}))
    calls = Calls()
    with pytest.raises(OpsError, match="needs root"):
        repair(diagnosis, port_of(calls, place), calls, lambda text: None)
    with pytest.raises(OpsError, match="no apt-get") as caught:
        repair(replace(diagnosis, root=True), port_of(calls, place), calls, lambda text: None)
    assert "redis-server" in caught.value.hint
    assert calls.calls == []


def exposures_of(state: Path, root: bool = False, **sections: object) -> list[HostFinding]:
    spec = Spec.model_validate({**free_ports(), **sections})
    facts = HostFacts("/usr/bin/python3", binaries=ALL, root=root)
    where = Layout(state, state / "generated", environment="production")
    return list(look_at_exposure(resolve(spec, NATIVE, where, facts)))


def test_what_others_may_reach_is_told_and_what_is_accepted_with_its_reason(tmp_path: Path) -> None:
    accepted = {"app-plain-http": "TLS ends at lb1", "grafana-default-password": "a lab"}
    app, grafana, nobody, unwatched = exposures_of(
        tmp_path, app={"host": "0.0.0.0", "port": free_port()}, accepted_exposures=accepted
    )
    assert (app.name, app.level) == ("app-plain-http", Level.NOTE)
    assert app.detail.endswith("accepted, with the reason: TLS ends at lb1")
    assert grafana.name == "grafana-default-password"
    assert (nobody.name, unwatched.name) == ("no-critical-receiver", "no-watcher")
    open_one, *_ = exposures_of(tmp_path)
    assert (open_one.name, open_one.level) == ("grafana-default-password", Level.WARNING)


def test_servers_that_run_as_root_are_told_with_the_user_that_they_lack(tmp_path: Path) -> None:
    found = [f for f in exposures_of(tmp_path, root=True) if f.topic == "root"]
    assert {f.name for f in found} >= {"user redis", "user prometheus"}
    assert all(f.level is Level.WARNING and "run as root" in f.detail and f.remedy for f in found)
    assert not [f for f in exposures_of(tmp_path) if f.topic == "root"]


GPT: dict[str, Any] = {"kind": "openai", "model": "gpt-4.1", "api_key": "k"}


def ends(today: date, **provider: Any) -> list[tuple[Level, str, str]]:
    spec = Spec.model_validate({"project": "p", "providers": {"gpt": {**GPT, **provider}}})
    return [(f.level, f.detail, f.remedy) for f in look_at_models(spec, today)]


@each_row(
    "today, level, when",
    [
        (date(2026, 11, 15), Level.WARNING, "in 60 days"),
        (date(2026, 11, 14), Level.NOTE, "in 61 days"),
        (date(2027, 1, 13), Level.WARNING, "in 1 day"),
        (date(2027, 1, 14), Level.WARNING, "already past"),
        (date(2030, 1, 1), Level.WARNING, "already past"),
    ],
)
def test_an_end_asks_for_something_from_sixty_days_before_on(today: date, level: Level, when: str) -> None:
    (told,) = ends(today)
    assert told == (
        level,
        f"the vendor retires the model gpt-4.1 on 2027-01-14, {when} (as read on 2026-10-28)",
        "model: gpt-6-luna",
    )


@each_row(
    "provider",
    [
        {"model": "gpt-6.1-sol"},
        {"enabled": False},
        {"base_url": "https://x.openai.azure.com/openai/v1"},
        {"kind": "openai-compatible", "base_url": "http://127.0.0.1/v1"},
    ],
)
def test_what_does_not_end_or_is_not_asked_of_its_vendor_is_not_told(provider: dict[str, Any]) -> None:
    assert ends(date(2027, 1, 14), **provider) == []


OLD = "still runs /usr/lib/libssl.so.3 from before an update"


class SeenWith(Seen):
    """As Seen, with what runs beside the services."""

    def observe(self, *, measure: bool = False) -> Observed:
        seen = super().observe(measure=measure)
        return replace(seen, beside={"supervisord": OLD})


def updated(tmp_path: Path, engine: object, **changes: object) -> Stack:
    binaries = {name: f"/nowhere/{name}" for name in (*host().binaries, "apt-get")}
    wanted = spec(app=THREE_INSTANCES, **changes)
    return open_stack(topology(wanted, tmp_path, facts=replace(host(), binaries=binaries)), engine)


def packages(tmp_path: Path, debian: Debian | None = None) -> Packages:
    lists = tmp_path / "lists"
    lists.mkdir()
    (lists / "deb_Packages.lz4").touch()
    return Packages(debian or Debian(), lists, ())


def nothing() -> str:
    return ""


def test_security_updates_and_restarts_come_with_what_brings_them(tmp_path: Path) -> None:
    engine = SeenWith(
        ObservedService("redis", "redis", State.RUNNING, replaced=OLD),
        ObservedService("nginx", "nginx", State.RUNNING),
        ObservedService("app-1", "app", State.RUNNING, build="0.1.0+1.2", outdated=True, replaced=OLD),
    )
    asked = packages(tmp_path)
    found = look(updated(tmp_path, engine), asked.fetched() or 0.0, asked, lambda: "runs kernel 1 of 2")
    assert found.security == ("curl", "libssl3t64")
    assert found.commands == (
        "apt-get install --only-upgrade curl libssl3t64", "techsapo restart redis", "techsapo up",
        "techsapo down, then techsapo up", "reboot",
    )  # fmt: skip
    told = finding(found)
    assert told.level is Level.WARNING
    assert "redis, app-1, supervisord" in told.detail


def test_lists_that_are_old_or_missing_are_said_to_be(tmp_path: Path) -> None:
    asked = packages(tmp_path, Debian(policy=""))
    fetched = asked.fetched() or 0.0
    assert finding(look(updated(tmp_path, Seen()), fetched, asked, nothing)).level is Level.OK
    assert look(updated(tmp_path, Seen()), fetched + 8 * 86_400 + 1, asked, nothing).stale_days == 8
    never = look(updated(tmp_path, Seen()), 0.0, Packages(Debian(), tmp_path / "none", ()), nothing)
    assert "never fetched" in finding(never).detail


def test_of_many_updates_some_are_named_and_all_are_installed_at_once() -> None:
    many = Waiting(security=tuple(f"lib{n}" for n in range(7)))
    assert finding(many).detail == "security updates: lib0, lib1, lib2, lib3, lib4 and 2 more"
    assert many.commands == ("apt-get upgrade",)
