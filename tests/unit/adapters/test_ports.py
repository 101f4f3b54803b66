from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

from servers import free_port, tcp_open, wait_for

from techsapo_ops.adapters.ports import belongs_to, is_free, listeners, port_holder

LISTEN = (
    "import socket,sys; s=socket.socket(); s.bind(('127.0.0.1', int(sys.argv[1]))); s.listen();"
    "sys.stdin.read()"
)


def listening(port: int, cwd: Path, *words: str) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-c", LISTEN, str(port), *words], stdin=subprocess.PIPE, cwd=cwd
    )
    wait_for(lambda: tcp_open(port), what="listener")
    return process


def end(process: subprocess.Popen[bytes]) -> None:
    process.communicate(b"")


def test_the_holder_of_a_port_is_named_with_pid_and_user(tmp_path: Path) -> None:
    port = free_port()
    process = listening(port, tmp_path)
    try:
        holder = port_holder(port)
        assert holder is not None
        assert holder.pid == process.pid
        assert holder.command.startswith("python")
        assert f"pid {process.pid}" in str(holder)
        assert str(holder.user) in str(holder)
        assert port in listeners()
    finally:
        end(process)
    assert port_holder(port) is None


def test_the_arguments_of_a_holder_are_not_shown(tmp_path: Path) -> None:
    port = free_port()
    process = listening(port, tmp_path, "--password=hunter2")
    try:
        assert "hunter2" not in str(port_holder(port))
    finally:
        end(process)


def test_a_taken_port_is_not_free_and_a_closed_one_is() -> None:
    with socket.socket() as s:
        port = free_port()
        s.bind(("127.0.0.1", port))
        s.listen()
        assert not is_free("127.0.0.1", port)
        assert not is_free("0.0.0.0", port)
    wait_for(lambda: is_free("127.0.0.1", port), what="the port of a closed socket")


def test_a_port_is_free_on_ipv6_too() -> None:
    with socket.socket(socket.AF_INET6) as s:
        s.bind(("::1", 0))
        s.listen()
        assert not is_free("::1", s.getsockname()[1])


def test_a_process_that_works_in_the_folder_belongs_to_it(tmp_path: Path) -> None:
    (tmp_path / "state/data").mkdir(parents=True)
    port = free_port()
    process = listening(port, tmp_path / "state/data")
    try:
        assert belongs_to(process.pid, tmp_path / "state")
        assert not belongs_to(process.pid, tmp_path / "sta")
        assert not belongs_to(process.pid, tmp_path / "other")
    finally:
        end(process)


def test_a_process_that_names_the_folder_belongs_to_it_with_its_children(tmp_path: Path) -> None:
    port = free_port()
    program = f"import subprocess,sys; subprocess.run([sys.executable,'-c',{LISTEN!r},'{port}'])"
    parent = subprocess.Popen(
        [sys.executable, "-c", program, f"{tmp_path}/state/run/supervisord.conf"],
        stdin=subprocess.PIPE,
        cwd="/",
    )
    try:
        wait_for(lambda: tcp_open(port), what="child")
        holder = port_holder(port)
        assert holder is not None
        assert holder.pid not in {None, parent.pid}
        assert belongs_to(holder.pid or 0, tmp_path / "state")
        assert not belongs_to(holder.pid or 0, tmp_path / "else")
    finally:
        end(parent)
