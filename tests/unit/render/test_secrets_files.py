from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rows import each_row
from stacks import EVERYTHING, rendered, spec, topology

from techsapo_ops.errors import OpsError
from techsapo_ops.render.stack import secret_files
from techsapo_ops.services.exporters import exporter_cnf
from techsapo_ops.stack.places import EngineName
from techsapo_ops.stack.secrets import secret_name

HERE = Path("/opt/stack")


@given(st.text(min_size=1), st.text(min_size=1))
def test_two_paths_never_share_a_file_name(one: str, other: str) -> None:
    names = secret_name(one), secret_name(other)
    assert (names[0] == names[1]) is (one == other)
    for name in names:
        assert re.fullmatch(r"[A-Za-z0-9_.-]{1,100}", name)
        assert name not in {".", ".."}


def test_names_that_a_dash_could_confuse_stay_apart() -> None:
    paths = ["a-b.api_key", "a.b-api_key", "a.b.api_key"]
    assert (
        len({secret_name(f"providers.{path}") for path in paths} | {secret_name("providers-a.b.api_key")})
        == 4
    )


def test_each_secret_is_a_private_file_of_the_service_that_reads_it() -> None:
    wanted = spec(**EVERYTHING)
    files = {f.path: f for f in secret_files(topology(wanted, HERE))}
    owners = {path.removeprefix("secrets/").split(".")[0]: file.owner for path, file in files.items()}
    assert owners == {
        "monitoring-grafana-admin_password": "grafana",
        "mysql-password": "app",
        "mysqld-exporter": "mysqld-exporter",
        "notifications-receivers-critical_0-url": "alertmanager",
        "providers-gpt-api_key": "app",
        "redis-exporter": "redis-exporter",
        "redis-password": "app",
    }
    assert all(file.mode == 0o600 and file.secret for file in files.values())


def test_secrets_of_services_that_do_not_run_are_not_written() -> None:
    wanted = spec(**{**EVERYTHING, "monitoring": {"alertmanager": {"enabled": False}}})
    paths = [f.path for f in secret_files(topology(wanted, HERE))]
    assert not [path for path in paths if "notifications" in path]


@each_row(
    "engine, redis, address",
    [
        ("compose", {"user": "techsapo"}, "redis://techsapo@redis:6379"),
        ("native", {"tls": True}, "rediss://127.0.0.1:6379"),
    ],
)
def test_redis_exporter_looks_for_the_password_by_the_address_and_the_account(
    engine: EngineName, redis: dict[str, Any], address: str
) -> None:
    wanted = spec(redis={"password": "x", **redis})
    files = {f.path: f for f in secret_files(topology(wanted, HERE, engine))}
    assert json.loads(files["secrets/redis-exporter.json"].content) == {address: "x"}


def test_no_secret_stands_in_a_file_that_others_may_read() -> None:
    wanted = spec(**EVERYTHING)
    secrets = ["redis-secret", "mysql-secret", "s3cret", "sk-secret"]
    for file in rendered(wanted, topology(wanted, HERE)).values():
        if any(secret in file.content for secret in secrets):
            assert file.secret, file.path
            assert file.mode == 0o600, file.path


@each_row("password", ["a\nb", "a?b", "%(password)s", "x%(user)sy"])
def test_a_password_that_mysqld_exporter_can_not_read_is_refused(password: str) -> None:
    where = topology(spec(mysql={"password": password}), HERE)
    with pytest.raises(OpsError, match="mysqld exporter"):
        exporter_cnf(where, password)
