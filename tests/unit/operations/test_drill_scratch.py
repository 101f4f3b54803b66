"""What a drill has made is gone afterwards, and whom it kills is said beforehand."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from fakes.open_stacks import Seen, open_stack
from monitoring_stack import spec_of, topology_of

from techsapo_ops.adapters.process import SubprocessRunner
from techsapo_ops.errors import OpsError
from techsapo_ops.operations.drills.instance import busiest
from techsapo_ops.operations.drills.scratch import clean, scratch
from techsapo_ops.stack.layout import Layout
from techsapo_ops.stack.observed import ObservedService, State
from techsapo_ops.stack.stack import Stack

INSTANCES = [
    {"port": 4000, "weight": 2},
    {"port": 4001, "weight": 3},
    {"port": 4002, "weight": 9, "backup": True},
]


def running(*names: str, pid: int | None = 1) -> Seen:
    """An engine on which these instances run."""
    return Seen(*(ObservedService(n, "app", State.RUNNING, pid=pid) for n in names))


def stack(folder: Path, engine: Seen, **sections: Any) -> Stack:
    spec = spec_of({"project": "t", "app": {"instances": INSTANCES}, **sections})
    return replace(open_stack(topology_of(spec, folder), engine), pause=lambda _: None)


def layout(tmp_path: Path) -> Layout:
    state = tmp_path / ".techsapo"
    state.mkdir()
    return Layout(state, state / "generated")


def test_only_the_very_process_that_was_chosen_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        found = busiest(stack(tmp_path, running("app-1", "app-2", pid=process.pid)))
        with monkeypatch.context() as changed:
            changed.setattr(psutil.Process, "create_time", lambda _: 1.0)
            with pytest.raises(OpsError, match="started again by itself"):
                found.kill()
        assert process.poll() is None
        assert not found.ended()
        found.kill()
        assert process.wait(60) == -signal.SIGKILL
    assert found.ended()
    with pytest.raises(OpsError, match="ended or"):
        found.kill()


def test_a_scratch_folder_is_gone_whatever_ends_its_block(tmp_path: Path) -> None:
    where, runner = layout(tmp_path), SubprocessRunner()
    with suppress(KeyboardInterrupt), scratch(where, runner, "a") as folder:
        (folder / "stack").mkdir()
        raise KeyboardInterrupt
    assert list(where.state.iterdir()) == []


def test_the_next_drill_removes_what_a_killed_one_left_and_follows_no_link(tmp_path: Path) -> None:
    where, runner = layout(tmp_path), SubprocessRunner()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept").touch()
    (where.state / "drill-link").symlink_to(elsewhere)
    (where.state / "drill-left" / "stack").mkdir(parents=True)
    (where.state / "drill-left" / "stack" / "kept").symlink_to(elsewhere)
    (where.state / "drills").mkdir()
    assert list(clean(where, runner)) == ["a drill that was cut short had left drill-left: it is removed"]
    assert sorted(p.name for p in where.state.iterdir()) == ["drill-link", "drills"]
    assert (elsewhere / "kept").exists()
