"""Certificates and challenges where nginx runs on several machines."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from techsapo_ops.certs.challenges import Everywhere, Proof
from techsapo_ops.errors import OpsError
from techsapo_ops.services.nginx.certificate import NginxSites

PROOF = Proof("ops.example.com", "token", "token.thumbprint")


@dataclass
class Place:
    """A responder that says what it was told, or that its machine can't be reached."""

    name: str
    log: list[str]
    away: bool = False
    kind: str = "http-01"

    def place(self, proof: Proof) -> None:
        self._do("place", proof)

    def clear(self, proof: Proof) -> None:
        self._do("clear", proof)

    def _do(self, what: str, proof: Proof) -> None:
        self.log.append(f"{what} {proof.token} at {self.name}")
        if self.away:
            raise OpsError(f"{self.name} is away")


def test_a_proof_is_at_every_nginx_before_the_authority_looks() -> None:
    log: list[str] = []
    everywhere = Everywhere([Place(name, log) for name in "abc"])
    everywhere.place(PROOF)
    everywhere.clear(PROOF)
    assert log == [f"{what} token at {name}" for what in ("place", "clear") for name in "abc"]
    assert everywhere.kind == "http-01"


def test_where_one_can_not_be_cleared_the_others_are() -> None:
    log: list[str] = []
    with pytest.raises(OpsError, match="a is away"):
        Everywhere([Place("a", log, away=True), Place("b", log)]).clear(PROOF)
    assert log[-1] == "clear token at b"


@dataclass
class Machines:
    """What nginx sites are asked, in order; `broken` refuses, `away` does not run, `shown` is served."""

    broken: str = ""
    away: str = ""
    shown: dict[str, bytes] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    lacking: dict[str, str] = field(default_factory=dict)

    def sites(self) -> NginxSites:
        names = ("nginx-a", "nginx-b", "nginx-c")
        states = {name: SimpleNamespace(state=SimpleNamespace(runs=name != self.away)) for name in names}
        engine = SimpleNamespace(
            observe=lambda: SimpleNamespace(running=True, services=states),
            deliver=self.deliver,
        )
        made: list[Any] = [
            SimpleNamespace(
                stack=SimpleNamespace(engine=engine),
                service=SimpleNamespace(name=name),
                check=lambda name=name: self.asked("check", name),
                reload=lambda name=name: self.asked("reload", name),
                confirm=lambda _, wanted, name=name: self.asked(f"confirm {wanted.decode()}", name),
                served=lambda _, name=name: self.shown[name],
            )
            for name in names
        ]
        return NginxSites(tuple(made), self.said.append)

    def deliver(self) -> dict[str, str]:
        self.log.append("deliver")
        return self.lacking

    def asked(self, what: str, name: str) -> None:
        self.log.append(f"{what} {name}")
        if name == self.broken:
            raise OpsError("no room left", "make some")


def test_each_machine_has_the_files_before_its_nginx_checks_and_reads_them() -> None:
    machines = Machines()
    sites = machines.sites()
    sites.check()
    sites.reload()
    sites.confirm("ops.example.com", b"new")
    assert machines.log == [
        "deliver", "check nginx-a", "check nginx-b", "check nginx-c",
        "deliver", "reload nginx-a", "reload nginx-b", "reload nginx-c",
        "confirm new nginx-a", "confirm new nginx-b", "confirm new nginx-c",
    ]  # fmt: skip


def test_an_nginx_that_refuses_is_named() -> None:
    with pytest.raises(OpsError, match="nginx-b: no room left") as raised:
        Machines(broken="nginx-b").sites().check()
    assert raised.value.hint == "make some"


def test_a_machine_that_is_away_is_not_waited_for() -> None:
    machines = Machines(away="nginx-b")
    sites = machines.sites()
    assert sites.running()
    sites.confirm(None, b"new")
    assert machines.log == ["confirm new nginx-a", "confirm new nginx-c"]


def test_two_machines_that_show_different_certificates_are_told_of() -> None:
    same = dict.fromkeys(("nginx-a", "nginx-b", "nginx-c"), b"one")
    assert Machines(shown=same).sites().served(None) == b"one"
    with pytest.raises(OpsError, match="nginx-a and nginx-c serve different certificates"):
        Machines(shown={**same, "nginx-c": b"old"}).sites().served(None)
