"""What a stack on several machines needs of its spec."""

from __future__ import annotations

from typing import Any

import yaml
from rows import each_row

from techsapo_ops.services.registry import kinds
from techsapo_ops.spec.exposure import exposures
from techsapo_ops.spec.load import SpecError, load
from techsapo_ops.spec.machines import NAMES
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.problems import Problem

HOSTS: dict[str, Any] = {
    n: {"address": f"10.0.0.{i}", "docker": f"ssh://ops@{n}"} for i, n in enumerate("abc", 1)
}
CONTAINERS = "the network of the containers (swarm.subnet)"


def found(**sections: Any) -> list[Problem]:
    data = {"project": "shop", "engine": "swarm", "hosts": HOSTS, "mysql": {}, **sections}
    text = yaml.safe_dump({k: v for k, v in data.items() if v is not None})
    try:
        load(text, {}, lambda _: "")
    except SpecError as error:
        return list(error.problems)
    return []


def problems(**sections: Any) -> list[str]:
    return [f"{p.path}: {p.message}" for p in found(**sections)]


def test_names_of_services_have_room_in_swarm() -> None:
    longest = max(len(kind.name) for kind in kinds())
    assert len("p" * (NAMES - 1) + "_" + "k" * longest + "-a") == 63
    assert problems(project="p" * (NAMES - 1)) == []
    (first, *_) = problems(project="p" * (NAMES + 1))
    assert (
        first == "project: together with the host name a, the project name is 2 characters too long for Swarm"
    )


def with_host(name: str, **changes: Any) -> dict[str, Any]:
    return {**HOSTS, name: {**HOSTS.get(name, {}), **changes}}


NEEDS = "engine: swarm needs three or five hosts, but the spec has"
KEEPS = "engine: swarm needs Redis and MariaDB on each host for its essential data"
FOUR = with_host("d", address="10.0.0.4", docker="ssh://ops@d")
IPV6 = "is IPv6; containers reach the hosts only by IPv4"
TWICE = {"floating_address": "10.0.0.1/24", "hosts": with_host("b", address="10.0.0.1")}


@each_row(
    "sections, said",
    [
        ({}, ""),
        ({"floating_address": "10.0.0.100/24"}, ""),
        ({"swarm": {"subnet": "10.0.1.0/24"}}, ""),
        ({"hosts": None}, f"hosts: {NEEDS} 0"),
        ({"hosts": FOUR}, f"hosts: {NEEDS} 4"),
        ({"engine": "compose"}, "hosts: only engine: swarm supports several hosts"),
        ({"hosts": with_host("c", address="10.0.0.1")}, "hosts.c.address: host a already has 10.0.0.1"),
        ({"hosts": with_host("b", docker="ssh://ops@a")}, "hosts.b.docker: host a already has ssh://ops@a"),
        ({"hosts": with_host("b", address="fd00::2")}, f"hosts.b.address: fd00::2 {IPV6}"),
        ({"floating_address": "10.0.0.2/24"}, "floating_address: 10.0.0.2 is already the address of host b"),
        ({"floating_address": "fd00::100/64"},
         "floating_address: fd00::100 and the address 10.0.0.1 of host a are of different IP versions"),
        ({"mysql": None}, f"mysql: {KEEPS}"),
        ({"redis": {"enabled": False}}, f"redis: {KEEPS}"),
        ({"nginx": {"enabled": False}},
         "nginx.enabled: with several hosts, nginx is required, because users reach the stack through it"),
        ({"hosts": with_host("a", address="127.0.0.1")},
         "hosts.a.address: other hosts can't reach this host at 127.0.0.1"),
        ({"hosts": with_host("a", address="0.0.0.0")},
         "hosts.a.address: other hosts can't reach this host at 0.0.0.0"),
        ({"swarm": {"subnet": "10.0.0.0/20"}},
         f"swarm.subnet: 10.0.0.1 (the address of host a) is in 10.0.0.0/20, {CONTAINERS}"),
        ({"hosts": with_host("b", address="10.99.0.2")},
         f"hosts.b.address: 10.99.0.2 (the address of host b) is in 10.99.0.0/20, {CONTAINERS}"),
        ({"floating_address": "10.99.0.100/8"},
         f"floating_address: 10.99.0.100 (the floating address) is in 10.99.0.0/20, {CONTAINERS}"),
        (TWICE,
         "floating_address: 10.0.0.1 is already the address of host a\n"
         "hosts.b.address: host a already has 10.0.0.1"),
        ({"floating_address": "10.0.0.0/24"},
         "floating_address: 10.0.0.0/24 is a network address, which no host can have"),
        ({"floating_address": "10.0.0.255/24"},
         "floating_address: 10.0.0.255/24 is the broadcast address of its network"),
        ({"floating_address": "10.0.0.100"}, "floating_address: 10.0.0.100 has no prefix length"),
        ({"redis": {"port": 26379}}, "redis.port: port 26379 is already used by Sentinel on each host"),
        ({"nginx": {"listen": 2377}}, "nginx.listen: port 2377 is already used by Docker Swarm on each host"),
        ({"nginx": {"listen": 7946}}, "nginx.listen: port 7946 is already used by Docker Swarm on each host"),
    ],
)  # fmt: skip
def test_it_is_said_what_is_missing_and_where(sections: dict[str, Any], said: str) -> None:
    assert problems(**sections) == said.splitlines()


def test_one_host_has_neither_sentinel_nor_swarm() -> None:
    for port in (26379, 2377, 7946):
        assert problems(engine="compose", hosts=None, redis={"port": port}) == []


def test_nginx_of_several_hosts_is_exposed_whatever_address_it_is_given() -> None:
    wanted = Spec.model_validate({"project": "shop", "engine": "swarm", "hosts": HOSTS, "mysql": {}})
    found = {exposure.rule: exposure.message for exposure in exposures(wanted, None)}
    assert "0.0.0.0 over plain HTTP" in found["nginx-plain-http"]
    assert wanted.needs_keys


@each_row(
    "docker",
    [
        "tcp://10.0.0.1:2375", "ssh://", "ssh://ops@a;reboot", "ssh://-oProxyCommand=x", "ssh://-F",
        "ssh://-l@a", "unix://relative", "a",
    ],
)  # fmt: skip
def test_a_way_to_docker_is_ssh_or_a_socket(docker: str) -> None:
    (said,) = problems(hosts=with_host("a", docker=docker))
    assert said.startswith("hosts.a.docker: must be ssh://[USER@]HOST[:PORT] ")


@each_row("docker", ["ssh://b", "ssh://ops@b:2222", "ssh://ops@[fd00::2]:22"])
def test_a_user_and_a_port_may_be_left_out(docker: str) -> None:
    assert problems(hosts=with_host("b", docker=docker)) == []


@each_row(
    "docker, said",
    [
        ("ssh://ops@a/var/run/docker.sock", "not ssh://********@a/var/run/docker.sock"),
        ("ssh://ops@a:abc", "not ssh://********@a:abc"),
        ("ssh://ops:secret@a", "not ssh://********@a"),
        ("https://token@a", "not https://********@a"),
        ("ssh://ops@a:65536", "the port of 'ssh://ops@a:65536' must be between 1 and 65535"),
    ],
)
def test_what_is_refused_is_shown_without_its_login(docker: str, said: str) -> None:
    (told,) = problems(hosts=with_host("a", docker=docker))
    assert told.endswith(said)


@each_row("name", ["b.example.com", "B", "B.Example"])
def test_a_host_that_calls_itself_otherwise_is_told_both_names(name: str) -> None:
    (problem,) = found(hosts={"a": HOSTS["a"], "c": HOSTS["c"], name: HOSTS["b"]})
    assert problem.hint == "write `b`, and run `hostnamectl set-hostname b` on that host"


@each_row("name", ["A", "a_b", "-a", "a.b", "x" * 33])
def test_a_host_has_the_name_of_a_dns_label(name: str) -> None:
    assert problems(hosts={**{k: v for k, v in HOSTS.items() if k != "c"}, name: HOSTS["c"]})


def test_hosts_whose_names_are_no_text_are_not_said_to_be_missing() -> None:
    said = problems(hosts=dict(enumerate(HOSTS.values(), 1)))
    assert [line for line in said if "the spec has" in line] == []
    assert said == [f"hosts: the key {n} is not text" for n in (1, 2, 3)]
