"""The files of the login of Prometheus and Alertmanager: made once, and one for each reader."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import bcrypt
import pytest
from rows import each_row
from stacks import spec, topology

from techsapo_ops.services.made_secrets import make_login
from techsapo_ops.services.monitor import password_file, web_file
from techsapo_ops.stack.topology import Topology


@pytest.fixture
def stack(tmp_path: Path) -> Topology:
    found = topology(spec(monitoring={"prometheus": {"login": True}}), tmp_path)
    found.layout.keys.mkdir(parents=True)
    return found


def content(stack: Topology) -> dict[str, tuple[str, int]]:
    return {path.name: (path.read_text(), path.stat().st_ino) for path in sorted(stack.layout.keys.iterdir())}


def fits(stack: Topology, password: str) -> bool:
    hashed = re.search(r'techsapo: "(.+)"', web_file(stack.layout, "prometheus").read_text())
    return hashed is not None and bcrypt.checkpw(password.encode(), hashed[1].encode())


def test_each_reader_gets_a_copy_of_its_own_and_the_server_a_hash(stack: Topology) -> None:
    make_login(stack, "prometheus")
    password = password_file(stack.layout, "prometheus").read_text()
    assert len(password) == 48
    made = content(stack)
    assert set(made) == {"prometheus-web.yml", "prometheus-password"} | {
        f"prometheus-password.{reader}" for reader in ("prometheus", "app", "grafana")
    }
    assert {text for name, (text, _) in made.items() if "password" in name} == {password}
    assert fits(stack, password)
    assert password not in made["prometheus-web.yml"][0]
    assert {stat.S_IMODE(path.stat().st_mode) for path in stack.layout.keys.iterdir()} == {0o600}


def test_a_new_password_reaches_every_copy_in_the_file_that_a_container_has_mounted(stack: Topology) -> None:
    make_login(stack, "prometheus")
    before = content(stack)
    password_file(stack.layout, "prometheus").unlink()
    make_login(stack, "prometheus")
    after = content(stack)
    password = after["prometheus-password"][0]
    assert password != before["prometheus-password"][0]
    assert {text for name, (text, _) in after.items() if "password" in name} == {password}
    assert fits(stack, password)
    for name in set(after) - {"prometheus-password"}:
        assert after[name][1] == before[name][1], name


@each_row(
    "text", ["", "basic_auth_users: {}\n", 'basic_auth_users:\n  techsapo: "$2b$31$' + "a" * 53 + '"\n']
)
def test_a_file_that_its_own_server_changed_is_written_anew_and_not_tried_for_hours(
    stack: Topology, text: str
) -> None:
    make_login(stack, "prometheus")
    web_file(stack.layout, "prometheus").write_text(text)
    make_login(stack, "prometheus")
    assert fits(stack, password_file(stack.layout, "prometheus").read_text())


def test_what_is_there_stays_to_the_hash_s_salt_and_is_for_its_reader_alone_again(stack: Topology) -> None:
    make_login(stack, "prometheus")
    before = content(stack)
    web_file(stack.layout, "prometheus").chmod(0o644)
    make_login(stack, "prometheus")
    assert content(stack) == before
    assert stat.S_IMODE(web_file(stack.layout, "prometheus").stat().st_mode) == 0o600
