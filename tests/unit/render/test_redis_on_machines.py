"""Redis and Sentinel on three machines, as they are rendered: one host has nothing of it."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

from machines_spec import machines_files, machines_topology
from monitoring_stack import topology_of
from rows import each_row
from stacks import rendered, with_alerts

from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.services.redis.accounts import (
    OPERATOR,
    REPLICA,
    SENTINEL,
    accounts_file,
    exporter_file,
    password_file,
    sentinel_accounts_file,
)
from techsapo_ops.services.redis.runtime import before_steps
from techsapo_ops.spec.models import Spec
from techsapo_ops.stack.own_tls import own_tls

ADDRESSES = ("10.77.0.1", "10.77.0.2", "10.77.0.3")


def services() -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = read_yaml(machines_files()["stack.yml"])["services"]
    return found


def test_a_redis_of_several_says_when_it_stops_to_take_writes_and_one_of_its_own_does_not() -> None:
    lines = machines_files()["redis/redis.conf"].splitlines()
    for line in (
        "min-replicas-to-write 1", "min-replicas-max-lag 2", "appendonly yes", "tls-replication yes",
        "tls-port 6379", "repl-diskless-sync-delay 0",
    ):  # fmt: skip
        assert line in lines
    assert not any(line.startswith(("bind", "replicaof", "masterauth", "requirepass")) for line in lines)
    alone = topology_of(Spec.model_validate({"project": "alone"}), Path("/srv/alone"))
    files = {path: file.content for path, file in rendered(alone.spec, alone).items()}
    assert not any("sentinel" in path or path == "redis/start.sh" for path in files)
    assert "bind 127.0.0.1" in files["redis/redis.conf"].splitlines()
    assert "replica" not in files["redis/redis.conf"].replace("is a replica for a moment", "")


@each_row("hosts, most", [(3, 2), (5, 3)])
def test_of_so_many_machines_most_have_to_agree(hosts: int, most: int) -> None:
    machines = {
        name: {"address": f"10.77.0.{n}", "docker": f"unix:///lab/{name}.sock"}
        for n, name in enumerate("abcde"[:hosts], 1)
    }
    files = machines_files(machines_topology(hosts=machines, monitoring=with_alerts()))
    assert f"min-replicas-to-write {most - 1}" in files["redis/redis.conf"]
    assert f'"sentinel monitor techsapo $master 6379 {most}"' in files["sentinel/start.sh"]
    assert f'[ "$heard" -lt {most} ]' in files["redis/start.sh"]


@each_row("script", ["redis/start.sh", "sentinel/start.sh"])
def test_a_start_script_is_one_of_a_plain_shell_and_names_no_password(script: str, tmp_path: Path) -> None:
    file = tmp_path / "start.sh"
    file.write_text(machines_files()[script])
    subprocess.run(["dash", "-n", file], check=True)
    assert "REDISCLI_AUTH=$(cat /run/secrets/" in file.read_text()
    assert " -a " not in file.read_text()


def test_an_app_is_told_every_sentinel_and_its_own_machines_first() -> None:
    command = services()["app-b"]["command"]
    assert isinstance(command, list)
    told = command[command.index("--sentinel") + 1]
    assert told == "10.77.0.2:26379,10.77.0.1:26379,10.77.0.3:26379"
    assert "--redis-ca" in command


def test_one_certificate_is_for_all_machines_and_one_authority_for_both_kinds() -> None:
    topology = machines_topology()
    both = [own_tls(topology, topology.of_kind(kind)[0]) for kind in ("redis", "sentinel")]
    assert both[0] is not None
    assert both[1] is not None
    assert set(ADDRESSES) <= set(both[0].names) == set(both[1].names)
    assert both[0].ca == both[1].ca


def test_accounts_of_replicas_and_sentinels_have_no_more_rights_than_they_need(tmp_path: Path) -> None:
    topology = machines_topology(tmp_path)
    before_steps(topology, None)
    at_redis = accounts_file(topology.layout).read_text().splitlines()
    at_sentinel = sentinel_accounts_file(topology.layout).read_text().splitlines()
    assert at_redis[0] == at_sentinel[0] == "user default off"
    (replica,) = (line for line in at_redis if f"user {REPLICA} " in line)
    assert replica.split()[4:] == ["resetchannels", "-@all", "+psync", "+replconf", "+ping", "+info"]
    (sentinel,) = (line for line in at_redis if f"user {SENTINEL} " in line)
    assert "~" not in sentinel, "it reads no key"
    assert not any("+@" in line for line in at_sentinel if OPERATOR not in line)
    for account in (REPLICA, SENTINEL):
        file = password_file(topology.layout, account)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert file.read_text() not in "".join((*at_redis, *at_sentinel))
    assert all(f"@{address}:6379" in exporter_file(topology.layout).read_text() for address in ADDRESSES)
