"""MariaDB on several machines: members of one cluster, each started by its script."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any, cast

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from machines_spec import machines_files, machines_topology

from techsapo_ops.adapters.process import Command, Completed, Runner
from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.errors import OpsError
from techsapo_ops.services.made_secrets import made_key
from techsapo_ops.services.mysql.member import KEY
from techsapo_ops.services.mysql.session import Doors
from techsapo_ops.stack.engine import Access

FILES = machines_files()
SERVICES: dict[str, Any] = read_yaml(FILES["stack.yml"])["services"]


def test_each_member_is_started_by_the_script_under_its_own_name() -> None:
    for name in ("mysql-a", "mysql-b", "mysql-c"):
        assert SERVICES[name]["command"] == ["bash", "/etc/techsapo/mysql/member.sh", name]
    assert "members=(mysql-a mysql-b mysql-c)" in FILES["mysql/member.sh"]


def test_who_has_no_key_is_no_member() -> None:
    options = next(line for line in FILES["mysql/my.cnf"].splitlines() if "provider-options" in line)
    for part in ("ca", "cert", "key"):
        assert f"socket.ssl_{part}=/run/secrets/{KEY}" in options
    assert "encrypt = 4" in FILES["mysql/my.cnf"]
    given = {each["target"]: each for each in SERVICES["mysql-b"]["secrets"]}
    assert given[KEY]["mode"] == 0o400
    others = (name for name in SERVICES if not name.startswith("mysql-"))
    assert not [n for n in others if KEY in {s["target"] for s in SERVICES[n].get("secrets", ())}]


def test_a_commit_is_on_disk_before_it_is_acknowledged_and_a_lost_member_is_waited_for_two_seconds() -> None:
    cnf = FILES["mysql/my.cnf"]
    assert "innodb-flush-log-at-trx-commit = 1" in cnf
    assert "evs.suspect_timeout=PT2S" in cnf
    assert "pc.recovery=FALSE" in cnf, "positions decide who goes on"


def test_an_app_is_told_its_own_machines_member_first() -> None:
    command = SERVICES["app-b"]["command"]
    told = command[command.index("--mysql") + 1]
    assert told == "mysql-b:3306,mysql-a:3306,mysql-c:3306"


def test_the_key_is_made_once_and_readable_by_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / KEY
    made_key(path, "mysql")
    first = path.read_bytes()
    made_key(path, "mysql")
    assert path.read_bytes() == first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    certificate = x509.load_pem_x509_certificate(first)
    private = load_pem_private_key(first, None)
    assert certificate.public_key() == private.public_key()
    certificate.verify_directly_issued_by(certificate)


class Reached:
    """Reaches into containers, of which some are on a machine that is away."""

    enters_as_root = True

    def __init__(self, away: str = "") -> None:
        self._away = away

    def enter(self, service: str, command: Command, *, root: bool = False) -> Command:
        if service == self._away:
            raise OpsError(f"{service} is away")
        return Command((service, *command.argv))


class Said:
    """Runs nothing; members that are in the cluster say so."""

    def __init__(self, *ready: str) -> None:
        self._ready = ready

    def run(self, command: Command, **_: Any) -> Completed:
        ready = command.argv[0] in self._ready
        return Completed(
            command, 0 if ready else 1, b"in the cluster\n" if ready else b"waiting: no position\n", b""
        )


def doors(*ready: str, away: str = "") -> Doors:
    return Doors(cast("Access", Reached(away)), machines_topology(), cast("Runner", Said(*ready)))


def test_the_first_member_that_is_in_the_cluster_is_spoken_to() -> None:
    assert (
        doors("mysql-b", "mysql-c", away="mysql-a").administrator().enter(Command(("x",))).argv[0]
        == "mysql-b"
    )
    assert doors("mysql-c").administrator().enter(Command(("x",))).argv[0] == "mysql-c"
    assert doors("mysql-a", "mysql-c").administrator("mysql-c").enter(Command(("x",))).argv[0] == "mysql-c"
