"""Small parts of the native engine: state file, environment, owners, SQL, supervisor client."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rows import each_row

from techsapo_ops.adapters import owners
from techsapo_ops.engines.native.daemon import service_environment, without_locale
from techsapo_ops.engines.native.recorded import NativeStack
from techsapo_ops.engines.native.supervisor import Process, Supervisor, SupervisorGoneError
from techsapo_ops.engines.state import Record, StateFile
from techsapo_ops.errors import OpsError
from techsapo_ops.services.mysql import logins
from techsapo_ops.services.mysql.accounts import Passwords
from techsapo_ops.services.mysql.installation import init_sql
from techsapo_ops.spec.models.data import Mysql
from techsapo_ops.spec.secret import Secret
from techsapo_ops.stack.layout import LONGEST_SOCKET_PATH, Layout
from techsapo_ops.stack.observed import FOLDER_GONE, ObservedService, State

RECORD = Record("app", "app", "127.0.0.1", 4000, None, ("redis",), 10, "f", "c", {"app/x": "d"}, True, 5.5)


def test_records_are_read_back_as_written_and_keep_their_place(tmp_path: Path) -> None:
    file = StateFile(tmp_path)
    assert file.load() == {}
    file.put(RECORD)
    file.put(replace(RECORD, name="nginx", needs=()))
    file.settle("app")
    assert list(file.load()) == ["app", "nginx"]
    assert file.load()["app"] == replace(RECORD, pending=False)
    file.drop("app")
    assert list(file.load()) == ["nginx"]
    file.clear()
    assert file.load() == {}


@each_row("text", ["", "{", "[]", '{"services": {"a": {}}}', '{"services": {"a": {"needs": 3}}}'])
def test_a_damaged_state_file_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "state.json").write_text(text)
    with pytest.raises(OpsError, match=r"state\.json is damaged"):
        StateFile(tmp_path).load()


def test_services_get_no_variable_that_may_hold_a_key() -> None:
    shell = {
        "OPENAI_API_KEY": "sk", "AWS_SECRET_ACCESS_KEY": "x", "PATH": "/bin", "LANG": "ja_JP.UTF-8",
        "https_proxy": "http://proxy:3128", "SSH_AUTH_SOCK": "/run/x",
        "TECHSAPO_STATE": "/other",
    }  # fmt: skip
    assert service_environment(shell, Path("/srv/.techsapo")) == {
        "PATH": "/bin", "LC_MESSAGES": "ja_JP.UTF-8", "https_proxy": "http://proxy:3128",
        "TECHSAPO_STATE": "/srv/.techsapo", "PYTHONUTF8": "1",
    }  # fmt: skip


@each_row(
    "terminal, told",
    [
        (
            {"LANG": "ja_JP.UTF-8", "LC_TIME": "C", "LC_COLLATE": "de_DE.UTF-8"},
            {"LC_MESSAGES": "ja_JP.UTF-8"},
        ),
        ({"LANG": "ja_JP.UTF-8", "LC_ALL": "C.UTF-8", "LANGUAGE": "ja"}, {"LC_MESSAGES": "C.UTF-8"}),
        ({"LANG": "en_US.UTF-8", "LC_MESSAGES": "ja_JP.UTF-8"}, {"LC_MESSAGES": "ja_JP.UTF-8"}),
        ({"LC_ALL": ""}, {}),
    ],
)
def test_servers_get_the_language_of_a_terminal_and_not_a_locale_that_may_not_be_installed(
    terminal: dict[str, str], told: dict[str, str]
) -> None:
    assert without_locale(terminal) == told


def test_the_sql_of_each_start_is_one_statement_a_line_and_quotes_the_password() -> None:
    odd = Passwords(Secret('it\'s \\ "odd"; DROP DATABASE audit'), Secret("m"))
    sql = init_sql(Mysql(user="app"), odd, Secret("r"))
    lines = sql.splitlines()
    assert all(line.endswith(";") for line in lines)
    assert "ALTER USER 'app'@'127.0.0.1' IDENTIFIED BY 'it''s \\\\ \"odd\"; DROP DATABASE audit';" in lines
    assert not any(line.startswith("DROP") for line in lines)
    with pytest.raises(OpsError, match="line break"):
        init_sql(Mysql(user="app"), Passwords(Secret("two\nlines"), Secret("m")), Secret("r"))


def test_no_statement_with_a_password_reaches_the_binlog() -> None:
    passwords = Passwords(Secret("p"), Secret("m"))
    for sql in (
        init_sql(Mysql(), passwords, Secret("r")),
        (logins.settle(Mysql(), passwords).stdin or b"").decode(),
    ):
        logged, written = True, []
        for line in sql.splitlines():
            if line.startswith("SET SESSION sql_log_bin"):
                logged = line.endswith("1;")
            elif logged:
                written.append(line)
        assert written == ["CREATE DATABASE IF NOT EXISTS `techsapo_audit` CHARACTER SET utf8mb4;"]
        assert logged, "the session is as it was"


def test_a_folder_below_tmp_that_is_a_link_is_refused(tmp_path: Path) -> None:
    trap = tmp_path / "techsapo-0-abc"
    trap.symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").mkdir()
    with pytest.raises(OpsError, match="belongs to someone else"):
        owners.private_folder(trap)
    owners.private_folder(tmp_path / "fine")
    assert (tmp_path / "fine").stat().st_mode & 0o777 == 0o700


@each_row("name", ["short", "とても長い" * 12, "x" * 200])
def test_the_socket_of_the_supervisor_fits_whatever_the_project_is_called(name: str) -> None:
    layout = Layout(state=Path("/srv") / name / ".techsapo", config=Path("/srv"))
    temporary = f"{layout.supervisor_socket}.4194304"
    assert len(os.fsencode(temporary)) <= LONGEST_SOCKET_PATH
    assert layout.socket_dir == Layout(state=layout.state, config=Path("/x")).socket_dir
    other = Layout(state=Path("/srv") / f"{name}2" / ".techsapo", config=Path("/srv"))
    assert other.socket_dir != layout.socket_dir


def test_without_a_supervisor_everything_known_is_stopped(tmp_path: Path) -> None:
    layout = Layout(state=tmp_path, config=tmp_path / "generated")
    StateFile(tmp_path).put(RECORD)
    observed = NativeStack(layout).observe()
    assert not observed.running
    assert str(observed.services["app"].state) == "stopped"
    assert observed.services["app"].fingerprint == "", "its start did not finish"


def test_a_supervisor_and_a_scheduler_that_run_replaced_files_are_named(tmp_path: Path) -> None:
    program = Path(shutil.copy("/bin/cat", tmp_path / "cat"))
    layout = Layout(tmp_path, tmp_path / "generated")
    layout.run.mkdir()
    with subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        running.stdin.write(b"x\n")
        running.stdin.flush()
        running.stdout.readline()
        (layout.run / "supervisord.pid").write_text(f"{running.pid}\n")
        stack = NativeStack(layout)
        stack.supervisor = OnlyScheduler(running.pid)
        stack.state.put(Record("scheduler", "scheduler", "127.0.0.1", 0, None, (), 25))
        assert (stack.observe().beside, stack.observe().services["scheduler"].replaced) == ({}, "")
        shutil.copy("/bin/cat", tmp_path / "new")
        (tmp_path / "new").rename(program)
        seen = stack.observe()
        running.stdin.close()
    assert seen.beside == {"supervisord": f"still runs {program} from before an update"}
    assert seen.services["scheduler"].replaced == f"still runs {program} from before an update"


class OnlyScheduler(Supervisor):
    """A supervisord that has just started the process `pid` as the scheduler."""

    def __init__(self, pid: int) -> None:
        super().__init__(Path("unused.sock"))
        self._pid = pid

    def processes(self) -> dict[str, Process]:
        return {
            "scheduler": Process("scheduler", State.RUNNING, False, self._pid, datetime.now(UTC), None, "")
        }


def test_a_socket_file_that_nobody_listens_on_is_no_supervisor(tmp_path: Path) -> None:
    import socket

    path = tmp_path / "supervisor.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    client = Supervisor(path)
    assert not client.answers()
    assert not client.shutdown()
    with pytest.raises(SupervisorGoneError, match="does not answer"):
        client.processes()


def test_a_supervisor_that_accepts_but_never_answers_is_given_up(tmp_path: Path) -> None:
    import socket

    path = tmp_path / "supervisor.sock"
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(path))
        silent.listen()
        with pytest.raises(SupervisorGoneError, match="does not answer within"):
            Supervisor(path, timeout=0.05).processes()


def test_a_service_whose_data_folder_was_removed_is_not_as_it_was_started(tmp_path: Path) -> None:
    stack = NativeStack(Layout(state=tmp_path, config=tmp_path / "generated"))
    folder = stack.layout.data / "app"
    folder.mkdir(parents=True)
    with subprocess.Popen(["cat"], cwd=folder, stdin=subprocess.PIPE) as running:
        seen = ObservedService("app", "app", State.RUNNING, running.pid)
        assert stack._with_facts(seen).drift == ""
        folder.rmdir()
        found = stack._with_facts(seen)
        assert (found.drift, found.outdated) == (FOLDER_GONE, False)
        assert found.begins_again == "techsapo up"
        assert running.stdin is not None
        running.stdin.close()
