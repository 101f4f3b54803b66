from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rows import each_row
from stacks import EVERYTHING, HOSTILE_FOLDER, host, spec, templates, topology
from supervisor.options import ServerOptions, UnhosedConfigParser

from techsapo_ops.errors import OpsError
from techsapo_ops.render.supervisor import (
    housekeeping_argv,
    launcher_argv,
    supervisor_command,
    supervisor_files,
    supervisor_path,
)
from techsapo_ops.services.registry import programs
from techsapo_ops.stack.layout import Layout
from techsapo_ops.stack.topology import Topology


@contextmanager
def loaded(wanted: Any, where: Topology, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """The programs as supervisor itself reads them from its configuration."""
    (file,) = supervisor_files(where, templates())
    path = where.layout.config / file.path
    path.parent.mkdir(parents=True)
    path.write_text(file.content, encoding="utf-8")
    for folder in ("logs", "run"):
        (where.layout.state / folder).mkdir()
    monkeypatch.chdir(where.layout.state)
    options = ServerOptions()
    options.realize(["-c", str(path)])
    yield {config.name: config for group in options.process_group_configs for config in group.process_configs}


@each_row("folder", ["plain", HOSTILE_FOLDER])
def test_supervisor_reads_back_every_argv_and_place(
    tmp_path: Path, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = spec(**EVERYTHING)
    where = topology(wanted, tmp_path / folder)
    with loaded(wanted, where, monkeypatch) as configs:
        expected = programs(where)
        assert set(configs) == {p.service for p in expected} | {"housekeeping"}
        for program in expected:
            config = configs[program.service]
            argv = (*launcher_argv(where.host.python, program.user), *program.argv)
            assert tuple(shlex.split(config.command)) == argv
            assert (where.layout.state / config.directory) == program.directory
            assert (
                where.layout.state / config.stdout_logfile
            ) == where.layout.logs / f"{program.service}.log"
            assert config.stdout_logfile_maxbytes == 0
            assert config.environment == {**program.environment, "TECHSAPO_SERVICE": program.service}
            assert config.stopwaitsecs == program.stop_seconds
            assert not config.autostart
        assert tuple(shlex.split(configs["housekeeping"].command)) == housekeeping_argv(where)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"])), min_size=1, max_size=5))
def test_any_argv_survives_supervisors_parsers(words: list[str]) -> None:
    text = supervisor_command(tuple(words))
    parser = UnhosedConfigParser()
    parser.read_string(f"[program:x]\ncommand = {text}\n")
    assert shlex.split(parser.saneget("program:x", "command")) == words


def test_control_characters_are_refused() -> None:
    with pytest.raises(OpsError, match="control character"):
        supervisor_command(("/bin/echo", "a\nb"))


def test_the_launcher_is_told_the_user_of_each_service(tmp_path: Path) -> None:
    wanted = spec()
    where = topology(wanted, tmp_path, facts=host(root=True, users=frozenset({"redis"})))
    (file,) = supervisor_files(where, templates())
    assert "--user redis -- /usr/bin/redis-server" in file.content
    assert "\nuser = root\n" in file.content


def test_paths_below_the_state_are_relative_and_awkward_ones_outside_are_refused() -> None:
    state = Path("/srv/a ;b/.techsapo")
    assert supervisor_path(state / "logs" / "x.log", state) == "logs/x.log"
    assert supervisor_path(Path("/run/techsapo-0-ab/supervisor.sock"), state).startswith("/run/")
    with pytest.raises(OpsError, match="supervisor can't use"):
        supervisor_path(Path("/srv/x ;y"), state)


def test_a_deep_projects_socket_lies_in_a_short_folder(tmp_path: Path) -> None:
    wanted = spec()
    state = tmp_path / ("深" * 40) / ".techsapo"
    where = topology(wanted, tmp_path).relocated(Layout(state, state / "generated"))
    (file,) = supervisor_files(where, templates())
    line = next(line for line in file.content.splitlines() if line.startswith("file = "))
    assert len(line.removeprefix("file = ").encode()) < 100
