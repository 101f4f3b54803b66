from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from stacks import EVERYTHING, HOSTILE_FOLDER, host, spec, topology

from techsapo_ops.adapters.host_facts import HostFacts
from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.render.stack import secret_files
from techsapo_ops.services.app.rendered_spec import app_spec_files
from techsapo_ops.services.redis.accounts import APP, password_file
from techsapo_ops.spec.load import load
from techsapo_ops.spec.models import Spec


def app_spec(directory: Path, facts: HostFacts | None = None, **sections: Any) -> tuple[str, Spec]:
    """The file's text, and the spec that the app makes of it with the rendered secret files."""
    wanted = spec(**sections)
    where = topology(wanted, directory, facts=facts)
    file, *_ = app_spec_files(where)
    secrets = {str(where.layout.config / f.path): f.content for f in secret_files(where)}
    for made in (where.layout.mysql_password, password_file(where.layout, APP)):
        secrets[str(made)] = "made-by-the-engine"
    return file.content, load(file.content, {}, secrets.__getitem__, cross_check=False).spec


def test_the_app_loads_what_the_user_wrote_with_every_secret_from_its_file(tmp_path: Path) -> None:
    text, read = app_spec(tmp_path / HOSTILE_FOLDER, **EVERYTHING)
    wanted = spec(**EVERYTHING)
    for section in ("project", "locale", "wallbounce", "budget", "audit", "logs"):
        assert getattr(read, section) == getattr(wanted, section), section
    assert read.app.limits == wanted.app.limits
    key = read.providers["gpt"].api_key  # type: ignore[union-attr]  # an OpenAI provider has one
    assert key is not None
    assert key.reveal() == "sk-secret"
    assert read.redis.password is not None
    assert read.redis.password.reveal() == "redis-secret"
    assert read.mysql is not None
    assert read.mysql.password is not None
    assert read.mysql.password.reveal() == "mysql-secret"
    assert "secret" not in text.replace("secrets/", "").replace("mask: secrets", "")


def test_a_made_database_password_is_read_from_where_the_engine_puts_it(tmp_path: Path) -> None:
    _, read = app_spec(tmp_path / "a${B}", mysql={})
    assert read.mysql is not None
    assert read.mysql.password is not None
    assert read.mysql.password.reveal() == "made-by-the-engine"


def test_files_in_the_home_folder_are_named_by_their_whole_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/hanako")
    own = {"app": {"auth": {"keys_file": "~/keys.json"}}}
    _, read = app_spec(tmp_path, **own)
    assert read.app.auth.keys_file == "/home/hanako/keys.json"


def test_the_app_is_told_of_tls_only_where_redis_speaks_it(tmp_path: Path) -> None:
    text, read = app_spec(tmp_path, redis={"tls": True, "user": "sapo", "password": "x"})
    assert (read.redis.tls, read.redis.user) == (True, "sapo")
    text, read = app_spec(tmp_path)
    assert "tls" not in read_yaml(text)["redis"]
    assert not read.redis.tls


def test_without_redis_and_mariadb_on_this_host_the_app_is_told_to_do_without(tmp_path: Path) -> None:
    bare = HostFacts(python=host().python)
    text, read = app_spec(tmp_path, facts=bare, mysql={}, redis={"password": "x"})
    assert not read.redis.enabled
    assert read.mysql is None
    assert "password_file" not in text


def test_dollars_in_values_are_not_taken_for_variables(tmp_path: Path) -> None:
    _, read = app_spec(
        tmp_path,
        providers={"local": {"kind": "openai-compatible", "model": "${HOME}: #x", "base_url": "http://h/v1"}},
    )
    assert read.providers["local"].model == "${HOME}: #x"  # type: ignore[union-attr]  # not a simulated one


def test_the_app_is_told_the_names_of_nginx_and_of_its_certificates(tmp_path: Path) -> None:
    sections: dict[str, Any] = {
        "nginx": {"server_name": "Ops.Example.com"},
        "certificates": {
            "site": {"names": ["ops.example.com", "*.lan.example"]},
            "watched": {"source": "external", "address": "shop.example:443", "names": ["shop.example"]},
        },
        "app": {"allowed_hosts": ["web_1"]},
    }
    _, read = app_spec(tmp_path, **sections)
    assert read.app.allowed_hosts == ("ops.example.com", "*.lan.example", "web_1")
    (file,) = app_spec_files(topology(spec(**sections), tmp_path, "compose"))
    assert read_yaml(file.content)["app"]["allowed_hosts"][-1] == "nginx"
