"""Which secrets of a stack a person can be shown, and what is said where one can't."""

from __future__ import annotations

from pathlib import Path

from stacks import EVERYTHING, spec, topology

from techsapo_ops.operations.secrets import kept_secrets, reveal


def test_made_ones_are_in_the_keys_folder_and_given_ones_where_the_spec_has_them(tmp_path: Path) -> None:
    wanted = spec(mysql={})
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


def test_a_secret_shows_itself_in_no_listing(tmp_path: Path) -> None:
    assert "redis-secret" not in repr(kept_secrets(topology(spec(**EVERYTHING), tmp_path)))
