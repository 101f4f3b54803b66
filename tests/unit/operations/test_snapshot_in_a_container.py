"""What a killed backup left in Prometheus's volume: removed by name, as soon as there is a way to it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from stacks import spec, topology

from techsapo_ops.adapters.process import Command, Completed
from techsapo_ops.render.templates import Templates
from techsapo_ops.services.prometheus.backup import PrometheusBackup
from techsapo_ops.stack.stack import Stack


class Volume:
    """An engine and a runner in one, with the names of the snapshots that are there."""

    def __init__(self, container: str, *snapshots: str) -> None:
        self.container = container
        self.snapshots = list(snapshots)

    def reaches(self, service: str) -> bool:
        assert service == "prometheus"
        return bool(self.container)

    def beside(self, service: str, command: Command) -> Command:
        assert (service, bool(self.container)) == ("prometheus", True)
        return command

    def run(self, command: Command, *, timeout: float) -> Completed:
        assert timeout > 0
        if command.argv[0] == "rm":
            self.snapshots.remove(Path(command.argv[-1]).name)
        return Completed(command, 0, "\n".join(self.snapshots).encode(), b"")


def stack(volume: Any, directory: Path, engine: str = "compose") -> Stack:
    wanted = spec(backup={"prometheus": True})
    where = topology(wanted, directory, engine)
    made = Stack(where, volume, volume, directory, Templates(), lambda *_: volume)
    made.topology.layout.state.mkdir(parents=True, exist_ok=True)
    return made


def note(made: Stack) -> Path:
    path = made.topology.layout.state / "prometheus-snapshot.json"
    path.write_text(json.dumps({"at": 0, "before": ["mine"], "name": "killed"}))
    return path


def test_it_goes_and_a_users_own_stays_also_while_prometheus_is_stopped(tmp_path: Path) -> None:
    volume = Volume("c1", "killed", "mine")
    made = stack(volume, tmp_path)
    left = note(made)
    PrometheusBackup().tidy(made)
    assert volume.snapshots == ["mine"]
    assert not left.exists()


def test_without_a_container_it_waits_for_a_later_backup(tmp_path: Path) -> None:
    volume = Volume("", "killed", "mine")
    made = stack(volume, tmp_path)
    left = note(made)
    PrometheusBackup().tidy(made)
    assert volume.snapshots == ["killed", "mine"]
    assert left.exists()
