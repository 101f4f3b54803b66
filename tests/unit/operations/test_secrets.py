"""Which secrets of a stack a person can be shown, and what is said where one can't."""

from __future__ import annotations

from pathlib import Path

import pytest
from stacks import EVERYTHING, spec, topology

from techsapo_ops.errors import OpsError
from techsapo_ops.operations.secrets import find_secret, kept_secrets, reveal


def test_made_ones_are_in_the_keys_folder_and_given_ones_where_the_spec_has_them(tmp_path: Path) -> None:
    wanted = spec(edition=2, mysql={})
    made = {s.name: s for s in kept_secrets(topology(wanted, tmp_path))}
    assert list(made) == [
        "redis-operator", "redis-app", "redis-exporter", "mysql-app", "mysql-migrations",
        "mysql-root", "app-key", "alertmanager", "prometheus", "grafana-admin",
    ]  # fmt: skip
    assert made["redis-operator"].account == "techsapo_operator"
    assert made["redis-operator"].place == str(tmp_path / ".techsapo/keys/redis-operator-password")
    assert made["mysql-app"].made_by == "techsapo"
    assert made["mysql-migrations"].account == "techsapo_migrations"
    assert made["app-key"].place == str(tmp_path / ".techsapo/keys/app-key")
    given = {s.name: s for s in kept_secrets(topology(spec(**EVERYTHING), tmp_path))}
    assert (given["redis"].made_by, given["redis"].place) == ("your spec", "redis.password in the spec")
    assert reveal(given["mysql-app"]).reveal() == "mysql-secret"
    assert "mysql-root" not in {
        s.name for s in kept_secrets(topology(spec(mysql={}), tmp_path, "compose"))
    }, "in its container it logs in by the socket"


def test_a_name_that_there_is_not_has_the_nearest_beside_it(tmp_path: Path) -> None:
    with pytest.raises(OpsError, match="no secret redis-operater") as caught:
        find_secret(topology(spec(redis={"accounts": True}), tmp_path), "redis-operater")
    assert caught.value.hint == "did you mean redis-operator?"
    assert caught.value.exit_code == 2


def test_one_that_is_not_made_yet_says_what_makes_it(tmp_path: Path) -> None:
    where = topology(spec(redis={"accounts": True}), tmp_path)
    with pytest.raises(OpsError, match="redis-app is not made yet") as caught:
        reveal(find_secret(where, "redis-app"))
    assert "`techsapo up`" in caught.value.hint


def test_a_secret_shows_itself_in_no_listing(tmp_path: Path) -> None:
    assert "redis-secret" not in repr(kept_secrets(topology(spec(**EVERYTHING), tmp_path)))
