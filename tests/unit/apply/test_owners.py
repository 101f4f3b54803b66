"""Who may enter a service, whose the API keys are, and which secrets a person can be shown."""

from __future__ import annotations

import pwd
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from stacks import EVERYTHING, host, spec, topology

from techsapo_ops.apply import executing
from techsapo_ops.errors import OpsError
from techsapo_ops.services.app import rendered_spec
from techsapo_ops.watch.secrets import reveal, service_secrets


def stack_at(state: Path) -> Any:
    return SimpleNamespace(layout=SimpleNamespace(state=state))


def test_only_its_owner_and_root_may_enter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executing.require_owner(stack_at(tmp_path))
    monkeypatch.setattr("os.geteuid", lambda: tmp_path.stat().st_uid + 1)
    with pytest.raises(OpsError, match="only the owner of this stack can run commands") as caught:
        executing.require_owner(stack_at(tmp_path))
    assert isinstance(caught.value.__cause__, PermissionError)
    others = Mock(return_value=SimpleNamespace(st_uid=4242))
    with monkeypatch.context() as patch:
        patch.setattr(Path, "stat", others)
        patch.setattr("os.geteuid", lambda: 0)
        executing.require_owner(stack_at(tmp_path))


def test_root_gives_the_keys_to_the_app_s_user_and_nobody_else_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = spec()
    contained = topology(model, tmp_path, "compose", host(root=True))
    native = topology(model, tmp_path, "native", host(root=True))
    [app] = native.of_kind("app")
    others = tuple(s for s in native.services if s is not app)
    as_nobody = replace(native, services=(*others, replace(app, user="nobody")))
    monkeypatch.setattr(rendered_spec.os, "geteuid", lambda: 0)
    uid = contained.of_kind("app")[0].facts.uid
    assert rendered_spec.keys_owner(contained) == (uid, uid)
    nobody = pwd.getpwnam("nobody")
    assert rendered_spec.keys_owner(as_nobody) == (nobody.pw_uid, nobody.pw_gid)
    assert rendered_spec.keys_owner(native) is None
    monkeypatch.setattr(rendered_spec.os, "geteuid", lambda: 1000)
    assert rendered_spec.keys_owner(contained) is None


def test_made_ones_are_in_the_keys_folder_and_given_ones_where_the_spec_has_them(tmp_path: Path) -> None:
    wanted = spec(mysql={})
    made = {s.name: s for s in service_secrets(topology(wanted, tmp_path))}
    operator = made["redis-operator"]
    assert (operator.account, operator.made_by) == ("techsapo_operator", "techsapo")
    assert operator.place == str(tmp_path / ".techsapo/keys/redis-operator-password")
    given = {s.name: s for s in service_secrets(topology(spec(**EVERYTHING), tmp_path))}
    assert (given["redis"].made_by, given["redis"].place) == ("your spec", "redis.password in the spec")
    assert reveal(given["mysql-app"]).reveal() == "mysql-secret"
    assert "redis-secret" not in repr(given)
    contained = {s.name for s in service_secrets(topology(wanted, tmp_path, "compose"))}
    assert "mysql-root" in set(made) - contained, "in its container it logs in by the socket"
