"""Each part's check against real sockets and files."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import peers
import pytest
from fakes.http_server import Answering, answering
from fakes.open_stacks import Seen, open_stack
from rows import each_row
from stacks import THREE_INSTANCES, spec, topology

from techsapo_ops.adapters import resources
from techsapo_ops.adapters.address import Address
from techsapo_ops.adapters.build import build, code
from techsapo_ops.adapters.host_facts import HostFacts
from techsapo_ops.adapters.prometheus import Prometheus, Rule, Sample, Target
from techsapo_ops.catalogue.alerts import alerts
from techsapo_ops.certs.self_signed import ensure
from techsapo_ops.cli.watch.services_view import summary
from techsapo_ops.errors import OpsError
from techsapo_ops.services.nginx.runtime import RUNTIME
from techsapo_ops.services.nginx.site import SIGN_IN_LOCATION
from techsapo_ops.services.probing import health_of
from techsapo_ops.services.prometheus.health import probe_parts, target_parts
from techsapo_ops.services.registry import kind_of, resolve
from techsapo_ops.services.scheduler import heartbeat
from techsapo_ops.spec.models import Spec
from techsapo_ops.stack.health import HealthPart, PartStatus
from techsapo_ops.stack.layout import Layout
from techsapo_ops.stack.observed import ObservedService, State
from techsapo_ops.stack.places import COMPOSE, NATIVE, Places
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.topology import Topology
from techsapo_ops.watch.health.check import _at_once, _Job, check
from techsapo_ops.watch.health.report import HealthReport, Status, certificate_part, disk_part

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def asked(kind: str, port: int, timeout: float, places: Places = NATIVE) -> tuple[HealthPart, ...]:
    """What the one service of a stack says of itself."""
    service = Service(kind, kind, "127.0.0.1", port, kind_of(kind).facts)
    spec = Spec.model_validate({"project": "techsapo"})
    layout, here = Layout(Path("/nowhere"), Path("/nowhere")), HostFacts("python3")
    return health_of(Topology(spec, places, layout, here, (service,), ()), service, timeout)


def app_says(status: str, body: object) -> HealthPart:
    raw = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
    with peers.peer(peers.http(status, raw)) as port:
        return asked("app", port, 2.0)[0]


def test_a_healthy_app_tells_what_it_runs_on() -> None:
    dependencies = {
        "cache": {"status": "healthy", "in_use": "redis"},
        "audit": {"status": "healthy", "in_use": "sqlite"},
        "providers": {"sim-a": {"status": "available"}},
    }
    part = app_says("200 OK", {"status": "healthy", "simulated": True, "dependencies": dependencies})
    assert (part.status, part.seconds is None) == (PartStatus.HEALTHY, False)
    assert part.detail == "simulated providers, cache redis, audit sqlite"


@each_row(
    "told, elsewhere, outdated",
    [
        ({"build": build()}, False, False),
        ({"build": code() + ".000000"}, False, True),
        ({"build": code() + ".000000"}, True, False),
    ],
)
def test_an_instance_that_runs_another_build_is_well_and_told(
    told: dict[str, str], elsewhere: bool, outdated: bool
) -> None:
    with peers.peer(peers.http("200 OK", json.dumps({"status": "healthy", **told}).encode())) as port:
        (part,) = asked("app", port, 2.0, COMPOSE if elsewhere else NATIVE)
    runs = next(iter(told.values()))
    assert (part.status, part.build, part.outdated) == (PartStatus.HEALTHY, runs, outdated)
    assert f"build {runs}" in part.detail
    assert (f"installed is {build()}" in part.detail) is outdated
    assert part.hint == ("`techsapo up`" if outdated else "")


def test_a_provider_that_refuses_its_key_or_is_left_alone_degrades_the_app_with_what_to_do() -> None:
    detail = "the API key is refused; next try in 280 s. To do: put a valid key where `api_key` is taken from"
    told = {"status": "down", "cause": "key", "what_to_do": "put a valid key", "detail": detail}
    well = {"status": "available"}
    providers = {"gpt": told, "claude": well, "local": well}
    part = app_says("200 OK", {"status": "healthy", "dependencies": {"providers": providers}})
    assert (part.status, part.detail) == (PartStatus.DEGRADED, f"gpt: {detail}")
    opened = {"gpt": {"status": "open", "detail": "left alone", "breaker": {"state": "open", "failures": 5}}}
    part = app_says("200 OK", {"status": "healthy", "dependencies": {"providers": opened}})
    assert (part.status, part.detail) == (PartStatus.DEGRADED, "gpt: left alone")
    part = app_says("503 No", {"status": "down", "dependencies": {"providers": {"gpt": told}}})
    assert (part.status, part.detail) == (PartStatus.DOWN, f"gpt: {detail}")


@each_row(
    "status, body, expected, words",
    [
        ("503 No", {"status": "down"}, PartStatus.DOWN, "reports down"),
        ("200 OK", {"status": "healthy", "draining": True}, PartStatus.DEGRADED, "draining"),
        ("200 OK", {"status": "strange"}, PartStatus.DEGRADED, "reports strange"),
        ("200 OK", b"<html>", PartStatus.HEALTHY, "HTTP 200"),
        ("500 Oh", b"Traceback", PartStatus.DOWN, "HTTP 500: Traceback"),
        ("500 Oh", {"status": "healthy"}, PartStatus.DEGRADED, "reports healthy"),
        ("200 OK", {"dependencies": 3}, PartStatus.HEALTHY, "HTTP 200"),
        ("200 OK", [1, 2], PartStatus.HEALTHY, "HTTP 200"),
    ],
)
def test_odd_answers_of_the_app_are_judged(
    status: str, body: object, expected: PartStatus, words: str
) -> None:
    part = app_says(status, body)
    assert part.status is expected
    assert words in part.detail


def targets_answer(*targets: dict[str, object], without: str = "", missing: Sequence[str] = ()) -> bytes:
    """All that is asked for: the targets, the rules but the one of `without`, the `missing` series."""
    rules = [{"name": name, "query": "vector(1)"} for name in alerts() if name != without]
    labels = {"instance": "host", "alerts": "ClockUnsynchronised, MysqlDown"}
    found = [{"metric": {**labels, "missing": each}, "value": [1, "1"]} for each in missing]
    data = {"activeTargets": targets, "groups": [{"name": "all", "rules": rules}]}
    return json.dumps(
        {"status": "success", "data": {**data, "resultType": "vector", "result": found}}
    ).encode()


def target(job: str, health: str, error: str = "") -> dict[str, object]:
    return {
        "labels": {"job": job, "instance": "127.0.0.1:1"},
        "scrapeUrl": "http://127.0.0.1:1/metrics",
        "health": health,
        "lastError": error,
        "lastScrapeDuration": 0.25,
    }


def test_each_target_of_prometheus_is_a_part_with_its_error_and_no_key_that_is_in_it() -> None:
    error = 'Get "http://127.0.0.1:1/metrics?token=s3cr3t&x=1": connection refused'
    body = targets_answer(target("redis", "down", error), target("app", "up"), target("new", "unknown"))
    with peers.peer(peers.http("200 OK", body)) as port:
        found = asked("prometheus", port, 2.0)
    assert "s3cr3t" not in found[3].detail
    assert found[3].detail.endswith("connection refused")
    assert [(p.name, p.status.value, p.detail) for p in found] == [
        ("prometheus", "healthy", "HTTP 200"),
        ("target app 127.0.0.1:1", "healthy", "up"),
        ("target new 127.0.0.1:1", "starting", "not scraped yet"),
        ("target redis 127.0.0.1:1", "down", found[3].detail),
    ]
    assert found[1].seconds == 0.25


def test_alerts_that_can_not_fire_degrade_and_are_named_with_what_is_missing() -> None:
    body = targets_answer(target("app", "up"), without="AppDown", missing=["node_time_seconds"])
    with peers.peer(peers.http("200 OK", body)) as port:
        *_, silent = asked("prometheus", port, 1.0)
    assert (silent.name, silent.status) == ("alerts", PartStatus.DEGRADED)
    assert silent.detail == (
        "3 alerts cannot fire: AppDown: the rule is not loaded; "
        "ClockUnsynchronised: host has no node_time_seconds; "
        "MysqlDown: host has no node_time_seconds"
    )


def test_a_prometheus_whose_api_talks_nonsense_degrades() -> None:
    with peers.peer(peers.http("200 OK", b"hello")) as port:
        found = asked("prometheus", port, 1.0)
    assert found[1].status is PartStatus.DEGRADED
    assert "not JSON" in found[1].detail


@each_row(
    "free, inodes, expected",
    [
        (0.5, 0.5, "healthy"),
        (0.09, 0.5, "degraded"),
        (0.019, 0.5, "down"),
        (0.5, 0.05, "degraded"),
        (0.5, 0.0, "down"),
    ],
)
def test_the_disk_is_judged_by_space_and_inodes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: float, inodes: float, expected: str
) -> None:
    real = os.statvfs(tmp_path)
    fields = list(real)
    fields[2:7] = [10000, int(free * 10000), int(free * 10000), 1000, int(inodes * 1000)]
    fields[7] = int(inodes * 1000)
    monkeypatch.setattr(resources.os, "statvfs", lambda path: os.statvfs_result(fields))
    part = disk_part(tmp_path / "not/there/yet")
    assert part.status.value == expected
    assert part.vital
    assert ("inodes" in part.detail) == (inodes < 0.1)
    assert bool(part.hint) == (expected != "healthy")


def test_a_certificate_says_how_long_it_lasts(tmp_path: Path) -> None:
    made = ensure(tmp_path / "web", ["a.example"], days=90, now=NOW)

    def at(days: float) -> HealthPart:
        return certificate_part("web", made.chain, None, None, NOW + timedelta(days=days), 1.0)

    assert (at(0).status, at(0).detail) == (PartStatus.HEALTHY, "90 days left, until 2026-04-01")
    assert at(77).status is PartStatus.DEGRADED
    assert at(91).detail == "expired on 2026-04-01"


def test_what_is_served_is_compared_with_the_file_and_the_sites_name(tmp_path: Path) -> None:
    now, name = datetime.now(UTC), "*.example.com"
    old, new = (ensure(tmp_path / each, [name], now=now) for each in ("a", "b"))
    with peers.peer(peers.tls(str(old.chain), str(old.key))) as port:
        at = Address("127.0.0.1", port)
        same = certificate_part("web", old.chain, at, name, now, 2.0)
        other = certificate_part("web", new.chain, at, None, now, 2.0)
        wrong = certificate_part("web", old.chain, at, "x.example", now, 2.0)
    assert same.status is PartStatus.HEALTHY
    assert (other.status, other.hint) == (PartStatus.DEGRADED, "`techsapo restart --reload nginx`")
    assert (wrong.status, wrong.hint) == (PartStatus.DEGRADED, "`techsapo certs status web`")
    assert wrong.detail == "Hostname mismatch, certificate is not valid for 'x.example'."


@each_row(
    "behaviour, words",
    [(peers.silent, "no TLS handshake within 0.3 s"), (peers.http("200 OK"), "does not speak TLS")],
)
def test_a_port_that_serves_no_certificate_is_told(
    tmp_path: Path, behaviour: peers.Behaviour, words: str
) -> None:
    made = ensure(tmp_path / "a", ["x.example"], now=datetime.now(UTC))
    with peers.peer(behaviour) as port:
        part = certificate_part("web", made.chain, Address("127.0.0.1", port), None, NOW, 0.3)
    assert part.status is PartStatus.DEGRADED
    assert words in part.detail


def test_a_certificate_that_is_not_there_or_not_one_is_told(tmp_path: Path) -> None:
    gone = certificate_part("web", tmp_path / "none.pem", None, None, NOW, 1.0)
    (tmp_path / "x.pem").write_text("x")
    assert (gone.status, gone.hint) == (PartStatus.DEGRADED, "`techsapo up` creates the certificate")
    assert "not a PEM" in certificate_part("web", tmp_path / "x.pem", None, None, NOW, 1.0).detail


def stack(tmp_path: Path, port: int, binaries: dict[str, str] | None = None) -> Topology:
    spec = Spec.model_validate({"project": "techsapo", "app": {"port": port}})
    layout = Layout(tmp_path / ".techsapo", tmp_path / ".techsapo/generated")
    heartbeat.beat(layout.textfiles)
    return resolve(spec, NATIVE, layout, HostFacts("python3", binaries=binaries or {}))


def test_absent_parts_are_listed_and_do_not_degrade(tmp_path: Path) -> None:
    with peers.peer(peers.http("200 OK", b'{"status": "healthy"}')) as port:
        topology = stack(tmp_path, port)
        report = check(open_stack(topology, Seen()), timeout=2.0, now=NOW)
    assert report.status is Status.HEALTHY
    absent = {p.name: p.hint for p in report.probes if p.status is PartStatus.ABSENT}
    assert {"redis", "prometheus", "grafana"} <= set(absent)
    assert "doctor --fix" in absent["redis"]


@each_row("drift, hint", [("", "`techsapo restart redis`"), ("its image has changed", "`techsapo up`")])
def test_what_runs_from_before_an_update_is_told_and_is_no_fault(
    tmp_path: Path, drift: str, hint: str
) -> None:
    old = "still runs /usr/bin/redis-server from before an update"
    seen = Seen(
        ObservedService("redis", "redis", State.RUNNING, replaced=old, drift=drift),
        ObservedService("app", "app", State.RUNNING),
    )
    with peers.peer(peers.http("200 OK", b'{"status": "healthy"}')) as port:
        report = check(open_stack(stack(tmp_path, port), seen), timeout=2.0, now=NOW)
    (part,) = [p for p in report.probes if p.kind == "updates"]
    assert (part.detail, part.hint) == (f"redis {old}", hint)
    assert report.status is Status.HEALTHY


def test_the_whole_check_ends_with_the_timeout_when_every_peer_is_silent(tmp_path: Path) -> None:
    with peers.peer(peers.silent) as port:
        topology = stack(tmp_path, port)
        report = check(open_stack(topology, Seen()), timeout=0.3, now=NOW)
    assert report.status is Status.DOWN
    assert "did not answer within 0.3 s" in report.probes[0].detail


def test_a_probe_stuck_in_the_kernel_holds_nobody_up() -> None:
    over = threading.Event()

    def stuck() -> tuple[HealthPart, ...]:
        over.wait()
        return ()

    quick = HealthPart("quick", "redis", PartStatus.HEALTHY, "PONG")
    jobs = [_Job("disk", "disk", stuck, vital=True), _Job("quick", "redis", lambda: (quick,))]
    found = _at_once(jobs, 0.05)
    over.set()
    assert found[0].status is PartStatus.DOWN
    assert found[0].vital
    assert found[1] == quick


@each_row("timeout", [0.0, -1.0, float("nan")])
def test_no_time_at_all_is_refused(tmp_path: Path, timeout: float) -> None:
    topology = stack(tmp_path, 1)
    with pytest.raises(OpsError, match="leaves no time"):
        check(open_stack(topology), timeout=timeout, now=NOW)


ADDRESS = "http://oauth2-proxy.example:4180"
SIGN_IN = {"sign_in": {"address": ADDRESS, "secret": "s" * 32}}


def nginx(sign_in: int) -> AbstractContextManager[Answering]:
    """Answers as nginx with a sign-in proxy that answers `sign_in`."""
    return answering(lambda asked: (sign_in if asked.path == SIGN_IN_LOCATION else 200, b""))


def parts(directory: Path, port: int, **auth: object) -> list[HealthPart]:
    app = {**THREE_INSTANCES, "auth": auth}
    found = topology(spec(app=app, nginx={"enabled": True, "listen": port}), directory)
    return list(RUNTIME.health_parts(found, found.of_kind("nginx")[0], 5))


@each_row(
    "answer, status",
    [(401, "healthy"), (202, "healthy"), *((s, "degraded") for s in (302, 403, 404, 500, 502))],
)
def test_a_sign_in_proxy_that_does_not_answer_nginx_is_degraded_with_what_to_do(
    tmp_path: Path, answer: int, status: str
) -> None:
    with nginx(answer) as server:
        itself, sign_in = parts(tmp_path, server.server_port, **SIGN_IN)
    assert (itself.name, itself.status) == ("nginx", PartStatus.HEALTHY)
    assert (sign_in.name, sign_in.status, sign_in.vital) == ("sign-in", status, False)
    assert ADDRESS in sign_in.detail
    assert (str(answer) in sign_in.detail) == (answer in {302, 403, 404})
    assert ("oauth2-proxy" in sign_in.hint) == (status == "degraded")


def test_there_is_no_such_row_where_nobody_signs_in_or_nginx_is_down(tmp_path: Path) -> None:
    with nginx(401) as server:
        assert [p.name for p in parts(tmp_path, server.server_port)] == ["nginx"]
    assert [p.name for p in parts(tmp_path, server.server_port, **SIGN_IN)] == ["nginx"]


def probed(name: str, well: bool, scope: str = "target", status: int = 0, asker: str = "") -> list[Sample]:
    """What Prometheus has of one probe, by the machine that asked."""
    labels = {"name": name, "scope": scope, "job": "techsapo-probes", "from": asker}
    values = {"probe_success": float(well), "probe_http_status_code": float(status)}
    return [Sample({"__name__": metric, **labels}, value, 0.0) for metric, value in values.items()]


@each_row(
    "found, urls, fresh, told",
    [
        (
            [*probed("nginx", False, "front", 502), *probed("nginx", True, status=200)], {}, (),
            ["nginx down: unexpected HTTP 502", "nginx healthy: HTTP 200"],
        ),
        (  # `status` right after `down` and `up` called it degraded, by a sample of while it was down
            [*probed("nginx", False, "front"), *probed("other", False, "front")], {}, {"nginx"},
            ["nginx starting: not probed yet", "other down: no answer"],
        ),
        (probed("db", False), {("db", "target"): "http://db.example:8080"}, (), ["db down: no answer"]),
        (
            probed("db", False), {("db", "target"): "https://db.example"}, (),
            ["db down: no answer, or no valid certificate"],
        ),
        (
            [
                *probed("nginx-b", True, "machine", 200, "a"), *probed("nginx-b", False, "machine", 0, "c"),
                *probed("redis-b", True, "machine", 0, "a"),
            ], {}, (),
            ["nginx-b down: from c: no answer", "redis-b healthy: connected"],
        ),
    ],
    ids=["two scopes", "before a start", "http", "https", "from machines"],
)  # fmt: skip
def test_a_probe_is_a_row_for_each_scope_by_what_all_who_asked_found(
    found: list[Sample],
    urls: dict[tuple[str, str], str],
    fresh: Collection[str],
    told: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Prometheus, "query", lambda *_: tuple(found))
    parts = probe_parts(Prometheus("http://127.0.0.1:1"), urls, set(fresh))
    assert [f"{p.name} {p.status}: {p.detail}" for p in parts] == [f"probe {each}" for each in told]


class JustStarted(Prometheus):
    """Has taken up no target yet, so long after its start."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def targets(self) -> tuple[Target, ...]:
        return ()

    def query(self, *_: Any) -> tuple[Sample, ...]:
        return ()

    def rules(self) -> dict[str, tuple[Rule, ...]]:
        return {"all": tuple(Rule(name, "", 0, {}, {}) for name in alerts())}

    def started(self) -> datetime:
        return datetime.now(UTC) - timedelta(seconds=self.seconds)


@each_row("seconds, status", [(2, PartStatus.STARTING), (600, PartStatus.DEGRADED)])
def test_a_prometheus_without_targets_is_not_called_well(
    tmp_path: Path, seconds: float, status: PartStatus
) -> None:
    asked = JustStarted(seconds)
    (part,) = target_parts(topology(spec(), tmp_path), lambda: asked)
    assert (part.name, part.status) == ("targets", status)
    line = summary(HealthReport((part,), 0.01))
    assert ("1 not known yet" in line) == (status is PartStatus.STARTING)
