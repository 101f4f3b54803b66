"""What has to follow the start of a container, while what keeps it from that may pass."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from techsapo_ops.adapters.process import Command, Completed
from techsapo_ops.engines.containers import engine
from techsapo_ops.engines.containers.engine import ContainerEngine
from techsapo_ops.errors import OpsError
from techsapo_ops.services.runtime import Settling

ASK = Command(("mariadb",))


def settle(monkeypatch: pytest.MonkeyPatch, said: list[bytes], *passes: str) -> None:
    """Settle in a container whose command fails with each of `said` in turn, and then works."""

    def execute(*_: object, **__: object) -> Completed:
        return Completed(ASK, 1, b"", said.pop(0)) if said else Completed(ASK, 0, b"", b"")

    settling = Settling(ASK, "the logins can't be set", "look", passes)
    monkeypatch.setattr(engine, "runtime_of", lambda _: SimpleNamespace(settling=lambda _: settling))
    monkeypatch.setattr(engine, "_PAUSE", 0.0)
    running: Any = SimpleNamespace(docker=SimpleNamespace(execute=execute), topology=None)
    place: Any = SimpleNamespace(kind="mysql", id="c1")
    ContainerEngine._settle_kind(running, place, place)


def test_what_may_pass_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    settle(monkeypatch, [b"ERROR 1047: WSREP has not yet prepared node"] * 3, "WSREP has not yet prepared")


def test_what_does_not_pass_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    said = [b"ERROR 1045: Access denied"] * 2
    with pytest.raises(OpsError, match="the logins can't be set"):
        settle(monkeypatch, said, "WSREP has not yet prepared")
    assert len(said) == 1
    with pytest.raises(OpsError, match="WSREP"):
        settle(monkeypatch, [b"WSREP has not yet prepared node"])


def test_it_is_not_tried_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_SETTLING_SECONDS", 0.05)
    with pytest.raises(OpsError, match="WSREP"):
        settle(monkeypatch, [b"WSREP has not yet prepared node"] * 1_000_000, "WSREP")
