"""What the Status page has of services, disks and certificates, out of what Prometheus answers."""

from __future__ import annotations

import time
from typing import Any

import pytest
from rows import each_row

from techsapo_ops.adapters.prometheus import Prometheus, Sample
from techsapo_ops.catalogue.alerts import DISKS
from techsapo_ops.catalogue.series import of_newest_copy
from techsapo_ops.serve.pages.stack_report import (
    NewestCopies,
    certificates_of,
    disks_of,
    front_of,
    services_of,
)
from techsapo_ops.services.app.kind import JOB


class Told(Prometheus):
    """Answers each expression once, and one that it was not told of not at all."""

    def __init__(self, **told: list[tuple[float, dict[str, str]]]) -> None:
        self.told = told
        self.asked: list[str] = []

    def query(self, expr: str, **_: Any) -> list[Sample]:
        assert expr not in self.asked, "asked again what was just told"
        self.asked.append(expr)
        return [Sample(labels, value, 0.0) for value, labels in self.told.pop(expr, [])]


def test_instances_come_first_with_what_they_cannot_reach_and_a_server_is_what_its_exporter_says() -> None:
    prometheus = Told(
        techsapo_build_info=[(1, {"instance": "app-1", "version": "0.2.0"})],
        up=[
            (1, {"job": JOB, "instance": "app-1"}),
            (0, {"job": JOB, "instance": "app-2"}),
            (1, {"job": "prometheus", "instance": "prometheus"}),
            (1, {"job": "probe", "instance": "https://example.com"}),
            (1, {"job": "redis-exporter", "instance": "redis"}),
            (0, {"job": "mysqld-exporter", "instance": "mysql"}),
        ],
        redis_up=[(0, {})],
        mysql_up=[(1, {})],
        **{"techsapo_redis_consecutive_errors > 0": [(3, {"instance": "app-1"})]},
    )
    found = [(s.name, s.kind, s.up, s.version, list(s.lacks)) for s in services_of(prometheus)]
    assert found == [
        ("app-1", JOB, True, "0.2.0", ["redis"]),
        ("app-2", JOB, False, "", []),
        ("mysql", "mysql", None, "", []),
        ("probe https://example.com", "probe", True, "", []),
        ("prometheus", "prometheus", True, "", []),
        ("redis", "redis", False, "", []),
    ]
    assert "nginx_up" not in prometheus.asked, "nobody scrapes it"


def test_a_disk_that_is_mounted_twice_is_told_once_by_its_shortest_path_and_the_fullest_is_first() -> None:
    def at(mountpoint: str, device: str) -> dict[str, str]:
        return {"instance": "host", "device": device, "mountpoint": mountpoint}

    places = [at("/var/lib/docker", "sda"), at("/", "sda"), at("/data", "sdb"), at("/empty", "sdc")]
    sizes = {
        f"node_filesystem_{what}_bytes{{{DISKS}}}": list(zip(numbers, places, strict=True))
        for what, numbers in (("size", (100, 100, 200, 0)), ("avail", (60, 60, 20, 0)))
    }
    prometheus = Told(**sizes)
    found = [(d.mountpoint, d.used_percent, d.free_bytes, d.full_percent) for d in disks_of(prometheus, {})]
    assert found == [("/data", 90.0, 20.0, 90.0), ("/", 40.0, 60.0, 90.0)]


@each_row("begins, left", [(-1000.0, 50.0), (None, None), (1000.0, None)])
def test_a_certificate_is_told_with_what_is_left_of_it(begins: float | None, left: float | None) -> None:
    now = time.time()
    label = {"name": "web", "source": "acme"}
    prometheus = Told(
        techsapo_cert_not_before_timestamp_seconds=[] if begins is None else [(now + begins, label)],
        techsapo_cert_served_matches=[(0, label)],
        techsapo_cert_renewal_failures=[(2, label)],
        techsapo_cert_not_after_timestamp_seconds=[(now + 9999, {"name": "later"}), (now + 1000, label)],
    )
    first, later = certificates_of(prometheus)
    ended = Told(
        techsapo_cert_not_before_timestamp_seconds=[(now - 100, label)],
        techsapo_cert_not_after_timestamp_seconds=[(now - 50, label)],
    )
    assert [each.left_percent for each in certificates_of(ended)] == [0.0]
    assert (first.name, first.source, first.served, first.failures) == ("web", "acme", False, 2)
    assert first.left_percent == (None if left is None else pytest.approx(left, abs=5))
    assert (later.name, later.served, later.failures, later.left_percent) == ("later", None, 0, None)


def test_on_several_machines_each_service_is_called_by_its_own_and_what_machines_hear_is_none() -> None:
    prometheus = Told(
        up=[
            (1, {"job": JOB, "instance": "app-1-b", "host": "b"}),
            (1, {"job": "prometheus", "instance": "prometheus-a", "host": "a"}),
            (0, {"job": "sentinel", "instance": "sentinel-c", "host": "c"}),
            (1, {"job": "redis-exporter", "instance": "redis-exporter-a", "host": "a"}),
            (0, {"job": "redis-exporter", "instance": "redis-exporter-b", "host": "b"}),
            (1, {"job": "redis-exporter", "instance": "redis-exporter-c", "host": "c"}),
            (1, {"job": "techsapo-episodes", "instance": "prometheus-b"}),
            (1, {"job": "techsapo-probes", "instance": "nginx-b", "host": "b", "from": "a", "to": "b"}),
        ],
        redis_up=[
            (1, {"job": "redis-exporter", "host": "a"}),
            (1, {"job": "redis-exporter", "host": "b"}),
            (0, {"job": "redis-exporter", "host": "c"}),
            (0, {"job": "sentinel", "host": "a"}),
        ],
    )
    assert {s.name: s.up for s in services_of(prometheus)} == {
        "app-1-b": True, "prometheus-a": True, "sentinel-c": False, "redis-a": True, "redis-b": None,
        "redis-c": False,
    }  # fmt: skip


def test_the_host_with_the_address_that_several_share_is_named() -> None:
    assert front_of(Told()) is None
    held = {"host": "b", "address": "10.0.0.100"}
    one = front_of(Told(**{"techsapo:front_address:info": [(1, held)]}))
    assert one is not None
    assert (one.address, one.hosts) == ("10.0.0.100", ["b"])
    both = front_of(Told(**{"techsapo:front_address:info": [(1, held), (1, {**held, "host": "a"})]}))
    assert both is not None
    assert both.hosts == ["a", "b"]


def test_of_several_hosts_a_certificate_is_told_once_by_the_host_that_heard_of_it_last() -> None:
    ends = "techsapo_cert_not_after_timestamp_seconds"
    newest = of_newest_copy(ends)
    assert newest.startswith("max without (instance, host)")
    prometheus = Told(**{newest: [(9e9, {"name": "front"})], ends: [(9e9, {"name": "front"})] * 3})
    assert [each.ends for each in certificates_of(NewestCopies(prometheus))] == [9e9]
