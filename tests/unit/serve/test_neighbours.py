"""Who reads metrics and status without a key: this host, and the networks that the spec names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rows import each_row
from stacks import spec, topology
from starlette.types import Scope

from techsapo_ops.serve.http.proxies import Neighbours, attached
from techsapo_ops.services.app.rendered_spec import app_spec_files
from techsapo_ops.spec.load import load


def asked(client: str, *, server: str = "0.0.0.0", forwarded: bool = False) -> Scope:
    headers = [(b"x-forwarded-for", b"10.0.0.9")] if forwarded else []
    return {"type": "http", "client": (client, 1), "server": (server, 4000), "headers": headers}


@each_row(
    "networks, let_in, kept_out",
    [
        ((), ("127.0.0.1", "::1", "127.9.9.9"), ("10.9.9.9", "192.168.1.2", "172.17.0.1", "fd00::1")),
        (("10.9.0.0/16",), ("127.0.0.1", "10.9.9.9", "::ffff:10.9.9.9"), ("10.8.9.9", "192.168.1.2", "")),
        (("203.0.113.9", "fd00::/8"), ("203.0.113.9", "fd00::1"), ("203.0.113.8", "10.9.9.9")),
    ],
)
def test_an_address_is_let_in_by_the_networks_alone(
    networks: tuple[str, ...], let_in: tuple[str, ...], kept_out: tuple[str, ...]
) -> None:
    neighbours = Neighbours(networks)
    assert [a for a in let_in if not neighbours.has(asked(a))] == []
    assert [a for a in kept_out if neighbours.has(asked(a))] == []
    assert not any(neighbours.has(asked(a, forwarded=True)) for a in let_in)


def test_attached_are_networks_of_this_machines_addresses_and_loopback_is_none() -> None:
    found = list(attached())
    assert not [network for network in found if network.is_loopback or network.is_link_local]
    neighbours = Neighbours(("attached",))
    assert all(neighbours.has(asked(str(network.network_address))) for network in found)


@each_row(
    "engine, given, told",
    [
        ("native", None, ()),
        ("compose", None, ("attached",)),
        ("native", ["10.1.2.0/24"], ("10.1.2.0/24",)),
        ("compose", ["10.1.2.3"], ("10.1.2.3/32",)),
    ],
)
def test_the_app_is_told_its_networks_by_engine(
    tmp_path: Path, engine: Any, given: list[str] | None, told: tuple[str, ...]
) -> None:
    auth = {} if given is None else {"auth": {"monitoring_networks": given}}
    (file,) = app_spec_files(topology(spec(app=auth), tmp_path, engine))
    read = load(file.content, {}, lambda _: "secret", cross_check=False).spec
    assert read.app.auth.monitoring_networks == told


@each_row("text", ["10.1.2.3/24", "private", "10.0.0.0/33", "*", "example.com"])
def test_what_is_no_network_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a network.*10\.1\.2\.0/24"):
        spec(app={"auth": {"monitoring_networks": [text]}})
