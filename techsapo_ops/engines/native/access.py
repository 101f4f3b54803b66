"""Reaches into the processes of a stack, and into their data folders.

And throwaway servers: a backup is restored into one to see whether it holds what it should.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path

import psutil
from typing_extensions import override

from techsapo_ops.adapters import owners
from techsapo_ops.adapters.address import Address
from techsapo_ops.adapters.folders import open_file
from techsapo_ops.adapters.probe import probe
from techsapo_ops.adapters.process import Command, Runner, program_of
from techsapo_ops.engines.native import launch
from techsapo_ops.engines.native.daemon import without_locale
from techsapo_ops.engines.native.gate import SHOWN_LINES, LogFrom
from techsapo_ops.engines.native.recorded import STOP_MARGIN, NativeStack
from techsapo_ops.engines.state import Record
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.runtime import Place, ThrowawayProgram, no_throwaway, runtime_of
from techsapo_ops.spec.problems import unknown
from techsapo_ops.stack.engine import Access, GateError, Scratch
from techsapo_ops.stack.kind import LOOPBACK
from techsapo_ops.stack.layout import SCRATCH_FOLDER
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.topology import Topology

_START_SECONDS = 60.0
_STOP_SECONDS = 20.0


class NativeAccess(NativeStack, Access):
    """Of the stack of `topology`; see stack.engine.Access for what each method promises."""

    python = sys.executable
    enters_as_root = False

    def __init__(self, topology: Topology, runner: Runner, environment: Mapping[str, str]) -> None:
        super().__init__(topology.layout)
        self.topology = topology
        self._runner = runner
        self._environment = environment

    @override
    def enter(self, service: str, command: Command, *, root: bool = False) -> Command:
        target = self._service(service)
        drop = ("--user", target.user) if target.user is not None else ()
        # The launcher, which imports nothing of this package, judges nothing of what it becomes.
        program = program_of(command) or command.argv[0]
        words = (program, *command.argv[1:])
        argv = (sys.executable, "-I", launch.__file__, launch.VISIT, *drop, "--", *words)
        folder = self.topology.data_dir(target)
        cwd = command.cwd or (folder if folder.is_dir() else self.layout.run)
        return replace(command, argv=argv, cwd=cwd, launched=command.program)

    @override
    def beside(self, service: str, command: Command, *, image_of: str = "") -> Command:
        there = self.topology.find(service)
        target = there or self._service(image_of or service)
        folder = self.layout.data / (there.name if there else service)
        if not folder.is_dir():
            owners.data_folder(folder, target.user)
        return self.enter(
            target.name, replace(command, cwd=folder if there is None else command.cwd or folder)
        )

    @override
    def tool(self, service: str, command: Command) -> Command:
        return command

    @override
    def reaches(self, service: str) -> bool:
        return self.topology.find(service) is not None

    @override
    def has_data(self, service: str, file: str, *, image_of: str = "") -> bool:
        return (self.layout.data / service / file).exists()

    @override
    def data_entries(self, service: str) -> frozenset[str] | None:
        try:
            return frozenset(each.name for each in (self.layout.data / service).iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return frozenset()
        except OSError:  # another user's
            return None

    @override
    def removal(self, service: str) -> str:
        return msg("move .techsapo/data/{service} away", service=service)

    @override
    def left(self, kind: str) -> tuple[str, ...]:
        folders = (*self.layout.data.glob(kind), *sorted(self.layout.data.glob(f"{kind}-*")))
        return tuple(folder.name for folder in folders if self.topology.find(folder.name) is None)

    @override
    def halt(self, service: str) -> None:
        self.supervisor.stop(service, within=self._record(service).stop_seconds + STOP_MARGIN)

    @override
    def scratch(
        self, service: str, *, seed: Callable[[Path], None] | None = None
    ) -> AbstractContextManager[Scratch]:
        environment = {"PATH": os.defpath, **without_locale(self._environment)}
        environment.pop(launch.STATE_VARIABLE, None)
        return scratch(self._service(service), self.topology, self._runner, environment, seed)

    def _service(self, service: str) -> Service:
        target = self.topology.find(service)
        if target is None:
            raise unknown(msg("service"), service, [s.name for s in self.topology.services])
        return target

    def _record(self, service: str) -> Record:
        records = self.state.load()
        if service not in records:
            raise unknown(msg("service"), service, list(records))
        if not self.supervisor.answers():
            raise OpsError(msg("the stack is not running"), msg("`techsapo up` starts it"))
        return records[service]


@contextmanager
def scratch(
    service: Service,
    topology: Topology,
    runner: Runner,
    environment: Mapping[str, str],
    seed: Callable[[Path], None] | None = None,
) -> Iterator[Scratch]:
    """A throwaway server on a free port, gone after the block; redis and mysql have a random password.

    `seed` puts files into its folder before it starts.

    Its folder lies in the state directory, on the disk that the real data is on. It ends with this process,
    also with a killed one. Raises OpsError for other kinds, GateError when it does not come up.
    """
    build = runtime_of(service.kind).throwaway_program
    if build is None:
        raise no_throwaway(service.kind)
    parent = topology.layout.state / SCRATCH_FOLDER
    owners.folder(parent, 0o755)
    for stale in parent.glob("*.*"):
        if not psutil.pid_exists(int(stale.name.partition(".")[0])):  # its maker was killed
            shutil.rmtree(stale)
    folder = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}.{service.kind}-", dir=parent))
    process: subprocess.Popen[bytes] | None = None
    try:
        if seed is not None:
            seed(folder)
            for seeded in folder.rglob("*"):
                owners.give(seeded, service.user)
        # The service's own once all is made: MariaDB's installer runs as root, and it gives the data folder
        # away by its name, where the service's user could have put a link meanwhile.
        owners.folder(folder, 0o711)
        address = Address(LOOPBACK, _free_port())
        server = build(service, Place(folder, address.port, topology, runner))
        owners.folder(folder, 0o700, service.user)
        log = folder / "server.log"
        drop = ("--user", service.user) if service.user is not None else ()
        with os.fdopen(open_file(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT), "ab") as output:
            process = subprocess.Popen(
                (sys.executable, "-I", launch.__file__, launch.AT_ONCE, *drop, "--", *server.argv),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=folder,
                env=dict(environment),
                start_new_session=True,
            )
        _wait(service.kind, process, server, address, log)
        yield Scratch(address, folder, server.user, server.password, runner.run, lambda command: command)
    finally:
        if process is not None:
            _end(process)
        shutil.rmtree(folder)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind((LOOPBACK, 0))
        return int(listener.getsockname()[1])


def _wait(
    kind: str, process: subprocess.Popen[bytes], server: ThrowawayProgram, address: Address, log: Path
) -> None:
    deadline = time.monotonic() + _START_SECONDS
    password = server.password.reveal() if server.password is not None else None
    while True:
        result = probe(server.probe, address, timeout=2, user=server.user, password=password)
        code = process.poll()
        if result.ok and code is None:
            return
        if code is not None or time.monotonic() > deadline:
            lines = LogFrom(log).tail(SHOWN_LINES)
            ended = (
                msg("ended with code {code}", code=code)
                if code is not None
                else msg("not ready: {detail}", detail=result.detail)
            )
            quoted = "".join(f"\n  | {line}" for line in lines)
            raise GateError(
                kind,
                result.detail,
                lines,
                msg("throwaway {kind} server {ended}{quoted}", kind=kind, ended=ended, quoted=quoted),
                "",
            )
        time.sleep(0.03)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
