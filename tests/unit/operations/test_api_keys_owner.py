"""Whose the file of API keys is, on each engine."""

from __future__ import annotations

import pwd
from dataclasses import replace
from pathlib import Path

import pytest
from stacks import host, spec, topology

from techsapo_ops.services.app import api_keys


def test_root_gives_the_keys_to_the_app_s_user_and_nobody_else_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = spec()
    contained = topology(model, tmp_path, "compose", host(root=True))
    native = topology(model, tmp_path, "native", host(root=True))
    [app] = native.of_kind("app")
    others = tuple(s for s in native.services if s is not app)
    as_nobody = replace(native, services=(*others, replace(app, user="nobody")))
    monkeypatch.setattr(api_keys.os, "geteuid", lambda: 0)
    uid = contained.of_kind("app")[0].facts.uid
    assert uid is not None
    assert api_keys.keys_owner(contained) == (uid, uid)
    nobody = pwd.getpwnam("nobody")
    assert api_keys.keys_owner(as_nobody) == (nobody.pw_uid, nobody.pw_gid)
    assert api_keys.keys_owner(native) is None
    monkeypatch.setattr(api_keys.os, "geteuid", lambda: 1000)
    assert api_keys.keys_owner(contained) is None
