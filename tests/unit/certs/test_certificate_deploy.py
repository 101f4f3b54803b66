"""The transaction of a deploy on a site whose faults can be chosen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from stacks import spec, topology

from techsapo_ops.adapters.process import SubprocessRunner
from techsapo_ops.certs.deploy import deploy, finish
from techsapo_ops.certs.needs import Certificates, Managed
from techsapo_ops.certs.self_signed import sign
from techsapo_ops.certs.store import Origin, Store, Version
from techsapo_ops.errors import OpsError

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class FakeSite:
    """nginx in a few lines: a reload takes over what the link leads to, unless a fault is wanted."""

    store: Store | None = None
    up: bool = True
    refuses: int = 0
    """How many checks fail yet."""
    deaf: int = 0
    """How many reloads change nothing yet."""
    serves: bytes = b""
    told: list[str] = field(default_factory=list)

    def running(self) -> bool:
        return self.up

    def check(self) -> None:
        self.told.append("check")
        if self.refuses:
            self.refuses -= 1
            raise OpsError("nginx -t refuses the certificate")

    def reload(self) -> None:
        self.told.append("reload")
        if self.deaf:
            self.deaf -= 1
            return
        live = self.store.live() if self.store is not None else None
        self.serves = live.pair.leaf.public_bytes(Encoding.DER)

    def confirm(self, name: str | None, wanted: bytes) -> None:
        self.told.append(f"confirm {name}")
        if self.serves != wanted:
            raise OpsError("nginx still serves another certificate")


@dataclass
class Bench:
    work: Managed
    site: FakeSite
    make: Callable[[], Version]

    @property
    def store(self) -> Store:
        return self.work.store

    def with_spec(self, **certificate: Any) -> Managed:
        """The same certificate where the spec says something else of it."""
        return managed(self.work.stack.folder, self.site, **certificate)


def managed(folder: Path, site: Any, now: datetime = NOW, **certificate: Any) -> Managed:
    model = spec(certificates={"site": {"names": ["example.com"], **certificate}})
    return Certificates(topology(model, folder), SubprocessRunner(), site, lambda: now).of("site")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    site = FakeSite()
    work = managed(tmp_path, site)
    site.store = work.store

    def make() -> Version:
        pair = sign(["example.com"], work.stack.authority(), now=NOW)
        return work.store.put(pair, Origin("self-signed"))

    return Bench(work, site, make)


def test_a_deploy_is_checked_reloaded_and_read_back_and_what_the_check_refuses_never_reaches_nginx(
    bench: Bench,
) -> None:
    first = bench.make()
    assert deploy(bench.work, first)
    assert bench.site.told == ["check", "reload", "confirm example.com"]
    bench.site.told.clear()
    bench.site.refuses = 1
    with pytest.raises(OpsError, match="refuses the certificate\nrolled back to version 1"):
        deploy(bench.work, bench.make())
    assert bench.site.told == ["check", "confirm example.com"]
    assert bench.store.live() == first
    assert bench.store.state.deployed == 1


def test_a_reload_that_does_not_show_is_taken_back(bench: Bench) -> None:
    first = bench.make()
    deploy(bench.work, first)
    bench.site.deaf = 1
    with pytest.raises(OpsError, match="still serves another certificate\nrolled back to version 1"):
        deploy(bench.work, bench.make())
    assert bench.store.live() == first
    bench.site.confirm(None, first.pair.leaf.public_bytes(Encoding.DER))


def test_a_way_back_that_fails_too_is_told(bench: Bench) -> None:
    deploy(bench.work, bench.make())
    bench.site.serves = b""
    bench.site.deaf = 2
    with pytest.raises(OpsError, match="rolling back to version 1 failed too"):
        deploy(bench.work, bench.make())


def test_an_expired_or_foreign_certificate_is_not_even_linked(bench: Bench) -> None:
    first = bench.make()
    deploy(bench.work, first)
    second = bench.make()
    folder = bench.work.stack.folder
    with pytest.raises(OpsError, match="expired"):
        deploy(managed(folder, bench.site, NOW + timedelta(days=100)), second)
    with pytest.raises(OpsError, match=r"but not other\.example"):
        deploy(bench.with_spec(names=["other.example"]), second)
    assert bench.store.live() == first


def test_nginx_that_does_not_run_finds_it_when_it_starts(bench: Bench) -> None:
    bench.site.up = False
    version = bench.make()
    assert not deploy(bench.work, version)
    assert bench.site.told == []
    assert bench.store.live() == version


def test_hooks_run_after_a_change_and_again_until_they_succeed(bench: Bench, tmp_path: Path) -> None:
    hook = f"sh -c 'echo $TECHSAPO_CERTIFICATE >> {tmp_path}/log; test -e {tmp_path}/good'"
    work = bench.with_spec(deploy_hooks=[hook])
    (tmp_path / "good").touch()
    first = bench.make()
    deploy(work, first)
    deploy(work, first)
    assert (tmp_path / "log").read_text() == "site\n"
    (tmp_path / "good").unlink()
    second = bench.make()
    with pytest.raises(OpsError, match="deploy hook"):
        deploy(work, second)
    assert bench.store.live() == second
    assert bench.store.state.hooks_pending
    (tmp_path / "good").touch()
    finish(work)
    finish(work)
    deploy(work, second)
    assert (tmp_path / "log").read_text() == "site\n" * 3


def test_the_link_is_kept_and_never_takes_the_place_of_another_s_file(bench: Bench, tmp_path: Path) -> None:
    work = bench.with_spec(install_to="ssl")
    deploy(work, bench.make())
    link = tmp_path / "ssl/site.crt"
    assert link.read_bytes() == bench.store.chain.read_bytes()
    link.unlink()
    link.write_text("another's")
    with pytest.raises(OpsError, match="was not created by this stack"):
        deploy(work, bench.make())
    assert link.read_text() == "another's"
