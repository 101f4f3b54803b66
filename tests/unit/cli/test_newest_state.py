"""Commands of a folder that never ran a stack of several hosts, where another one did."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from rows import each_row

from techsapo_ops.cli import open_stack
from techsapo_ops.cli.open_stack import history_beside
from techsapo_ops.cli.recorded_stack import recorded_stack
from techsapo_ops.engines.swarm.machines_note import MachinesNote

HOSTS = {n: {"address": f"10.0.0.{i}", "docker": f"ssh://ops@{n}"} for i, n in enumerate("abc", 1)}
SEVERAL = {"project": "shop", "engine": "swarm", "hosts": HOSTS, "mysql": {}}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []

    def refresh(_: Any, note: MachinesNote, *__: Any) -> None:
        if note.machines:
            found.append(f"{note.project} of {', '.join(machine.name for machine in note.machines)}")

    monkeypatch.setattr(open_stack, "refresh", refresh)
    return found


def spec_in(folder: Path, value: dict[str, Any]) -> Path:
    file = folder / "techsapo.yaml"
    file.write_text(yaml.safe_dump(value))
    return file


def test_they_ask_the_hosts_of_the_spec_what_was_applied(tmp_path: Path, asked: list[str]) -> None:
    file = spec_in(tmp_path, SEVERAL)
    history_beside(file)
    recorded_stack(file)
    assert asked == ["shop of a, b, c"] * 2


@each_row("spec", [{"project": "shop"}, {**SEVERAL, "hosts": "none"}])
def test_nobody_is_asked_for_a_stack_of_one_host_or_a_broken_spec(
    tmp_path: Path, asked: list[str], spec: dict[str, Any]
) -> None:
    file = spec_in(tmp_path, spec)
    history_beside(file)
    recorded_stack(file)
    assert asked == []


def test_a_folder_that_has_a_stack_of_its_own_asks_by_what_it_noted(tmp_path: Path, asked: list[str]) -> None:
    file = spec_in(tmp_path, SEVERAL)
    (tmp_path / ".techsapo").mkdir()
    (tmp_path / ".techsapo" / "format").write_text("1\n")
    (tmp_path / ".techsapo" / "state.json").write_text('{"engine": "compose", "services": {}}')
    history_beside(file)
    recorded_stack(file)
    assert asked == []
