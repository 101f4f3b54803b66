"""API keys of a stack on several hosts: the newest are changed, and every host gets them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from typer.testing import CliRunner

from techsapo_ops.cli.commands import keys
from techsapo_ops.cli.main import app
from techsapo_ops.errors import OpsError

HOSTS = {n: {"address": f"10.0.0.{i}", "docker": f"ssh://ops@{n}"} for i, n in enumerate("abc", 1)}
SPEC = {"project": "shop", "engine": "swarm", "mysql": {}, "hosts": HOSTS}


@pytest.fixture
def done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was done, in a folder with such a stack."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "techsapo.yaml").write_text(yaml.safe_dump(SPEC))
    found: list[str] = []

    @contextmanager
    def among_hosts(*_: object) -> Iterator[None]:
        found.append("alone on all hosts")
        yield
        found.append("shared")

    def deliver() -> dict[str, str]:
        kept = json.loads((tmp_path / ".techsapo/api-keys/keys.json").read_text())["keys"]
        found.append(f"delivered {' '.join(each['name'] for each in kept)}")
        return {"c": "timed out"} if (tmp_path / "c-is-away").exists() else {}

    monkeypatch.setattr(keys, "among_hosts", among_hosts)
    monkeypatch.setattr(
        keys, "open_stack", lambda _: SimpleNamespace(engine=SimpleNamespace(deliver=deliver))
    )
    return found


def test_a_key_is_at_every_host_before_it_is_shown(done: list[str]) -> None:
    assert CliRunner().invoke(app, ["keys", "create", "ci"]).exit_code == 0
    assert done == ["alone on all hosts", "delivered ci", "shared"]
    done.clear()
    assert CliRunner().invoke(app, ["keys", "rotate", "ci"]).exit_code == 0
    assert done == ["alone on all hosts", "delivered ci ci", "shared"]
    done.clear()
    assert CliRunner().invoke(app, ["keys", "revoke", "ci", "--all"]).exit_code == 0
    assert done == ["alone on all hosts", "delivered ci ci", "shared"]


def test_what_is_refused_reaches_nobody(done: list[str]) -> None:
    assert CliRunner().invoke(app, ["keys", "revoke", "nobody"]).exit_code != 0
    assert done == ["alone on all hosts"]


def test_nothing_is_changed_while_another_host_is_at_work(
    done: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def busy(*_: object) -> Iterator[int]:
        raise OpsError("techsapo is at work on b")
        yield

    monkeypatch.setattr(keys, "among_hosts", busy)
    assert CliRunner().invoke(app, ["keys", "create", "ci"]).exit_code == 1
    assert done == []
    assert not list((tmp_path / ".techsapo").rglob("keys.json"))


def test_a_host_that_still_takes_a_revoked_key_once_it_is_back_is_said(
    done: list[str], tmp_path: Path
) -> None:
    CliRunner().invoke(app, ["keys", "create", "ci"])
    (tmp_path / "c-is-away").touch()
    revoked = CliRunner().invoke(app, ["keys", "revoke", "ci"])
    assert revoked.exit_code == 0
    assert "c (timed out) lacks this" in " ".join(revoked.stderr.split())
