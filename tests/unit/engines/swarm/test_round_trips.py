"""How often an apply of nothing asks Docker: each time is a program that is started, perhaps by ssh."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from techsapo_ops.adapters.process import Command, Completed
from techsapo_ops.operations.apply.drift import drift
from techsapo_ops.operations.apply.history import History
from tests.fakes.swarm_commands import Commands


def noted(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Which host is asked what from now on."""
    asked: list[tuple[str, str]] = []
    run = commands.cluster.run

    def noting(command: Command, *, timeout: float = 60.0) -> Completed:
        host, words = command.argv[2].rpartition("@")[2], command.argv[3:]
        asked.append((host, " ".join(words[:2])))
        return run(command, timeout=timeout)

    monkeypatch.setattr(commands.cluster, "run", noting)
    return asked


def test_a_look_for_drift_does_not_look_again_at_what_was_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`status` looks once: else it would wait for a silent host with each of its parts."""
    commands = Commands(tmp_path, monkeypatch)
    assert not commands.up("a").failures
    stack = commands.stack("b")
    asked = noted(commands, monkeypatch)
    assert not stack.engine.away()
    assert not drift(History.of(stack)).findings
    looked = [host for host, what in asked if what in {"ps -a", "container inspect", "image inspect"}]
    assert Counter(looked) == dict.fromkeys("abc", 3)


def test_an_apply_of_nothing_asks_each_thing_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """But for what another command may change meanwhile: that is looked at again once this one alone is
    at work."""
    commands = Commands(tmp_path, monkeypatch)
    assert not commands.up("a").failures
    asked = noted(commands, monkeypatch)
    assert not commands.up("a").changed

    of_each = [("ps -a", 1), ("container inspect", 1), ("image inspect", 1)]
    assert Counter(what for host, what in asked if host != "a") == {what: 2 * n for what, n in of_each}
    assert Counter(what for host, what in asked if host == "a") == {
        **dict(of_each),
        # A manager for each of: bringing the state here, the apply, the lease. Then who is a node: before
        # anything, once nobody else is at work, where labels are set, and at the end, which are drained.
        "node ls": 3,
        "system dial-stdio": 4,
        "network inspect": 1,
        "service ls": 1,
        # Of the state here: before anything, and with the lease. Of the lease: whether there is one, then its
        # note as it is written, and that one alone. Of the objects that nobody has any more: at the end.
        "config ls": 4,
        "config inspect": 3,
        "secret ls": 1,
        "config create": 1,
        "config rm": 1,
    }
