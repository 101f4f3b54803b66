"""Parts of the native engine: state file, environment, owners, SQL, the supervisor and its stops."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import xmlrpc.client
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rows import each_row
from stacks import spec, topology

from techsapo_ops.adapters import owners
from techsapo_ops.adapters.process import SubprocessRunner
from techsapo_ops.engines.native import daemon
from techsapo_ops.engines.native import supervisor as module
from techsapo_ops.engines.native.daemon import service_environment, without_locale
from techsapo_ops.engines.native.engine import NativeEngine
from techsapo_ops.engines.native.recorded import NativeStack, _user_of
from techsapo_ops.engines.native.supervisor import NOT_RUNNING, Process, Supervisor, SupervisorGoneError
from techsapo_ops.engines.state import Record, StateFile
from techsapo_ops.errors import OpsError
from techsapo_ops.services.mysql.accounts import Passwords
from techsapo_ops.services.mysql.runtime import init_sql, settle
from techsapo_ops.services.registry import kind_of
from techsapo_ops.spec.models.servers import Mysql
from techsapo_ops.spec.secret import Secret
from techsapo_ops.stack.layout import LONGEST_SOCKET_PATH, Layout
from techsapo_ops.stack.observed import FOLDER_GONE, ObservedService, State
from techsapo_ops.stack.service import Service

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
        ({"LANG": "ja_JP.UTF-8", "LC_COLLATE": "de_DE.UTF-8"}, {"LC_MESSAGES": "ja_JP.UTF-8"}),
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
    quoted = "IDENTIFIED BY 'it''s \\\\ \"odd\"; DROP DATABASE audit'"
    lines = init_sql(Mysql(user="app"), odd, Secret("r")).splitlines()
    assert all(line.endswith(";") for line in lines)
    assert f"ALTER USER 'app'@'127.0.0.1' {quoted};" in lines
    assert not any(line.startswith("DROP") for line in lines)
    assert quoted.encode() in (settle(Mysql(), odd).stdin or b"")
    two = Passwords(Secret("two\nlines"), Secret("m"))
    for make in (lambda: init_sql(Mysql(), two, Secret("r")), lambda: settle(Mysql(), two)):
        with pytest.raises(OpsError, match="line break"):
            make()


def test_a_folder_below_tmp_that_is_a_link_is_refused(tmp_path: Path) -> None:
    trap = tmp_path / "techsapo-0-abc"
    trap.symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").mkdir()
    with pytest.raises(OpsError, match="belongs to another user"):
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
        now = datetime.now(UTC)
        return {"scheduler": Process("scheduler", State.RUNNING, False, self._pid, now, None, "")}


def test_a_socket_that_nobody_listens_on_is_no_supervisor_and_one_that_never_answers_is_given_up(
    tmp_path: Path,
) -> None:
    path = tmp_path / "supervisor.sock"
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))
        client = Supervisor(path, timeout=0.05)
        assert not client.answers()
        assert not client.shutdown()
        with pytest.raises(SupervisorGoneError, match="does not answer"):
            client.processes()
        made.listen()
        with pytest.raises(SupervisorGoneError, match="does not answer within"):
            client.processes()


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


def test_the_user_of_a_service_is_the_one_that_its_process_really_has() -> None:
    """An app that runs as root, since no other user reaches its folder, had none."""
    assert _user_of(os.getpid()) == pwd.getpwuid(os.getuid()).pw_name
    with subprocess.Popen(["/bin/true"]) as process:
        process.wait()
    assert _user_of(process.pid) is None, "it is gone"


class Told(Supervisor):
    """Keeps what it was told; Ctrl-C comes once, in `at`."""

    def __init__(self, at: str) -> None:
        super().__init__(Path("unused.sock"))
        self.at = at
        self.told: list[str] = []

    def stop(self, name: str, within: float, term_after: float | None = None) -> None:
        self._hear("stop", name)

    def start(self, name: str) -> None:
        self._hear("start", name)

    def _hear(self, what: str, name: str) -> None:
        self.told.append(f"{what} {name}")
        if what == self.at:
            self.at = ""
            raise KeyboardInterrupt


@each_row("at", ["stop", "start"])
def test_a_service_is_not_left_stopped(at: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = topology(spec(), tmp_path)
    engine = NativeEngine(wanted, SubprocessRunner(), {})
    told = Told(at)
    engine.supervisor = told
    record: Any = SimpleNamespace(stop_seconds=1)
    monkeypatch.setattr(NativeEngine, "_record", lambda *_: record)
    monkeypatch.setattr(NativeEngine, "_free_port", lambda *_: None)
    monkeypatch.setattr("techsapo_ops.engines.native.engine.replace", lambda found, **_: found)
    monkeypatch.setattr(engine.state, "put", lambda _: None)
    with pytest.raises(KeyboardInterrupt):
        engine._restart(wanted.services[0].name)
    name = wanted.services[0].name
    assert told.told[-2:] == [f"stop {name}", f"start {name}"]
    assert len(told.told) > 2


def info(name: str, state: str) -> dict[str, Any]:
    """As supervisor/rpcinterface.py tells of a program."""
    pid = 0 if state == "STOPPED" else 7
    told = {"start": 1, "stop": 0, "spawnerr": "", "exitstatus": 0}
    return {"name": name, "statename": state, "pid": pid, **told}


class Draining(Supervisor):
    """Answers for one program, which ends by TERM, or between two calls."""

    def __init__(self, *, ends_before_signal: bool = False, unending: bool = False) -> None:
        super().__init__(Path("unused.sock"))
        self.state = "RUNNING"
        self.told: list[tuple[Any, ...]] = []
        self._ends_before_signal = ends_before_signal
        self._unending = unending

    def _call(self, method: str, *arguments: Any) -> Any:
        if method == "supervisor.getProcessInfo":
            return info("nginx", self.state)
        self.told.append((method, *arguments))
        if method == "supervisor.stopProcess":
            self.state = "STOPPING"
            return True
        assert method == "supervisor.signalProcess"
        self.state = "STOPPING" if self._unending else "STOPPED"
        if self._ends_before_signal:
            raise xmlrpc.client.Fault(NOT_RUNNING, "NOT_RUNNING: nginx")
        return True


STOP = ("supervisor.stopProcess", "nginx", False)
TERM = ("supervisor.signalProcess", "nginx", "TERM")
KILL = ("supervisor.signalProcess", "nginx", "KILL")
SERVICE = Service("scheduler", "scheduler", "127.0.0.1", 0, kind_of("scheduler").facts)


AT_ONCE: dict[str, Any] = {"within": 60, "term_after": 0}


@each_row(
    "state, ends_before_signal, asked, told",
    [
        ("RUNNING", False, AT_ONCE, [STOP, TERM]),
        ("RUNNING", True, AT_ONCE, [STOP, TERM]),  # which is no error
        ("STOPPING", False, AT_ONCE, [TERM]),
        ("RUNNING", False, {"within": 0}, [STOP, KILL]),
    ],
)
def test_it_is_told_once_to_stop_then_sent_term_in_a_restart_and_killed_at_its_deadline(
    state: str, ends_before_signal: bool, asked: dict[str, Any], told: list[tuple[Any, ...]]
) -> None:
    supervisor = Draining(ends_before_signal=ends_before_signal)
    supervisor.state = state
    supervisor.stop("nginx", **asked)
    assert supervisor.told == told


def test_what_the_kernel_does_not_end_is_said_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KILL_SECONDS", 0.1)
    supervisor = Draining(unending=True)
    with pytest.raises(OpsError, match=r"the kernel can't end nginx \(pid 7\)"):
        supervisor.stop("nginx", within=0)
    assert supervisor.told == [STOP, KILL]


class Several(Supervisor):
    """A supervisord of several programs, which end `seconds` after they were told to, or when killed."""

    def __init__(self, seconds: dict[str, float]) -> None:
        super().__init__(Path("unused.sock"))
        self.seconds, self.now = seconds, 0.0
        self.told: dict[str, float] = {}
        self.killed: list[str] = []

    def _call(self, method: str, *arguments: Any) -> Any:
        match method.removeprefix("supervisor."):
            case "getAllProcessInfo":
                return [self._info(name) for name in self.seconds]
            case "getProcessInfo":
                return self._info(arguments[0])
            case "stopProcess":
                self.told.setdefault(arguments[0], self.now)
            case "signalProcess":
                self.killed.append(arguments[0])
                self.seconds[arguments[0]] = 0
            case "removeProcessGroup":
                del self.seconds[arguments[0]]
        return True

    def _info(self, name: str) -> dict[str, Any]:
        ended = name in self.told and self.now >= self.told[name] + self.seconds[name]
        return info(name, "STOPPED" if ended else "STOPPING" if name in self.told else "RUNNING")


@each_row("needed", [0.0, 14.0, 24.0, 3600.0])
def test_down_gives_the_scheduler_the_time_that_its_runs_have_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, needed: float
) -> None:
    """It was given 10 s: where a run took longer to end, as on a busy machine, `down` failed."""
    supervisor = Several({"scheduler": needed, "housekeeping": 9.0})

    def sleep(seconds: float) -> None:
        supervisor.now += seconds

    monkeypatch.setattr(module.time, "sleep", sleep)
    monkeypatch.setattr(module.time, "monotonic", lambda: supervisor.now)
    monkeypatch.setattr(daemon, "shut_down", lambda _: 0)
    stack = NativeStack(Layout(tmp_path, tmp_path / "generated"))
    stack.supervisor = supervisor
    program = kind_of("scheduler").program(topology(spec(), tmp_path), SERVICE)
    stack.state.put(Record("scheduler", "scheduler", "127.0.0.1", 0, None, (), program.stop_seconds))
    assert stack.stop() == ("scheduler",)
    assert supervisor.killed == (["scheduler"] if needed > 60 else [])
    assert supervisor.now < program.stop_seconds + 21
