from __future__ import annotations

import hashlib
import shlex
from pathlib import Path
from typing import Any

import pytest
from rows import each_row
from stacks import HOSTILE_FOLDER, host, rendered, spec, templates, topology

from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.errors import OpsError
from techsapo_ops.services.mysql.kind import my_cnf_quote, mysql_files
from techsapo_ops.services.redis.accounts import APP, EXPORTER, OPERATOR, users, users_file
from techsapo_ops.services.redis.kind import redis_files, redis_quote
from techsapo_ops.stack.desired import RenderedFile
from techsapo_ops.stack.places import EngineName


def redis_conf(directory: Path, **redis: Any) -> RenderedFile:
    wanted = spec(redis=redis)
    (file,) = redis_files(topology(wanted, directory), templates())
    return file


def directives(text: str) -> dict[str, list[str]]:
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return {words[0]: words[1:] for words in map(shlex.split, lines)}


def test_redis_listens_on_loopback_with_its_data_in_the_state_directory_of_any_name(tmp_path: Path) -> None:
    found = directives(redis_conf(tmp_path / HOSTILE_FOLDER).content)
    assert (found["bind"], found["protected-mode"]) == (["127.0.0.1"], ["yes"])
    assert found["dir"] == [str(tmp_path / HOSTILE_FOLDER / ".techsapo/data/redis")]
    assert found["maxmemory"] == [str(256 * 1024**2)]
    assert redis_quote("a\nrequirepass x") == '"a\\x0arequirepass x"'


def test_a_redis_password_makes_the_file_a_secret_of_redis(tmp_path: Path) -> None:
    file = redis_conf(tmp_path, password='p"a ss\\#$')
    assert directives(file.content)["requirepass"] == ['p"a ss\\#$']
    assert (file.mode, file.secret, file.owner) == (0o600, True, "redis")
    assert not redis_conf(tmp_path).secret


def test_with_an_account_of_its_own_redis_knows_no_other(tmp_path: Path) -> None:
    file = redis_conf(tmp_path, user="techsapo", password='p"a ss\\#$ on nopass\n鍵')
    lines = [line for line in file.content.splitlines() if line.startswith(("user", "requirepass"))]
    assert lines[0] == "user default off"
    assert lines[1:] == [r'user techsapo on ">p\"a ss\\#$ on nopass\x0a鍵" ~* &* +@all']
    assert (file.mode, file.secret, file.owner) == (0o600, True, "redis")


def test_with_tls_redis_listens_in_no_other_way(tmp_path: Path) -> None:
    directory = tmp_path / HOSTILE_FOLDER
    found = directives(redis_conf(directory, tls=True, port=6400).content)
    keys = directory / ".techsapo/keys/redis-tls"
    assert (found["port"], found["tls-port"], found["tls-auth-clients"]) == (["0"], ["6400"], ["no"])
    assert found["tls-cert-file"] == [str(keys / "server/fullchain.pem")]
    assert found["tls-key-file"] == [str(keys / "server/privkey.pem")]
    assert found["tls-ca-cert-file"] == [str(keys / "trust/ca.pem")]
    assert not [name for name in directives(redis_conf(tmp_path).content) if name.startswith("tls")]


def test_temporary_tables_are_the_stacks_own_on_this_host(tmp_path: Path) -> None:
    wanted = spec(mysql={})
    (native,) = mysql_files(topology(wanted, tmp_path), templates())
    assert f'tmpdir = "{tmp_path}/.techsapo/data/mysql-tmp"' in native.content
    (colon,) = mysql_files(topology(wanted, tmp_path / "a:b"), templates())
    assert "tmpdir" not in colon.content, "it would be a list of two"
    file, *_ = mysql_files(topology(wanted, tmp_path, "compose"), templates())
    assert "tmpdir" not in file.content, "a container has a /tmp of its own"


def test_mariadb_of_root_without_its_user_is_told_to_run_as_root(tmp_path: Path) -> None:
    wanted = spec(mysql={})
    (alone,) = mysql_files(topology(wanted, tmp_path, facts=host(root=True)), templates())
    facts = host(root=True, users=frozenset({"mysql"}))
    (able,) = mysql_files(topology(wanted, tmp_path, facts=facts), templates())
    assert "user = root" in alone.content
    assert "user = root" not in able.content


def test_my_cnf_escapes_backslashes_and_refuses_line_breaks() -> None:
    assert my_cnf_quote('/a b/"c"\\d') == '"/a b/"c"\\\\d"'
    with pytest.raises(OpsError, match="control character"):
        my_cnf_quote("a\nuser=root")


@each_row("engine", ["native", "compose"])
def test_with_accounts_redis_reads_them_from_a_file_and_no_rendered_file_holds_a_password(
    tmp_path: Path, engine: EngineName
) -> None:
    wanted = spec(redis={"accounts": True})
    where = topology(wanted, tmp_path / HOSTILE_FOLDER, engine)
    (file,) = redis_files(where, templates())
    found = directives(file.content)
    here = str(tmp_path / HOSTILE_FOLDER / ".techsapo/keys/redis-accounts/users.acl")
    inside = "/etc/techsapo/redis-accounts/users.acl"
    assert found["aclfile"] == [here if engine == "native" else inside]
    assert not {"requirepass", "user"} & set(found)
    assert not file.secret
    app = read_yaml(rendered(wanted, where)[f"{where.places.rendered}app/techsapo.yaml"].content)["redis"]
    assert app["user"] == "techsapo"
    assert app["password_file"].endswith("redis-app-password" if engine == "native" else "/redis-password")
    assert "accounts" not in app


def test_the_file_of_accounts_has_digests_and_says_who_may_do_what() -> None:
    text = users_file(users("my-lab", {APP: "one", EXPORTER: "two", OPERATOR: "three"}))
    nobody, app, exporter, operator = text.splitlines()
    assert nobody == "user default off"
    assert app.endswith(" ~my-lab:* resetchannels +@all -@dangerous -function")
    assert "~" not in exporter
    assert operator.endswith(" ~* &* +@all")
    assert not [word for word in ("one", "two", "three") if f">{word}" in text]
    assert hashlib.sha256(b"one").hexdigest() in app
