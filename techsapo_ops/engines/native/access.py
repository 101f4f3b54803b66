"""Reaches into the processes of a stack, and into their data folders."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

from typing_extensions import override

from techsapo_ops.adapters import owners
from techsapo_ops.adapters.process import Command, Runner, program_of
from techsapo_ops.engines.native import launch
from techsapo_ops.engines.native.daemon import without_locale
from techsapo_ops.engines.native.recorded import STOP_MARGIN, NativeStack
from techsapo_ops.engines.native.scratch import scratch
from techsapo_ops.engines.state import Record
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.spec.problems import unknown
from techsapo_ops.stack.engine import Access, Scratch
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.topology import Topology


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
        found = self._found(service)
        drop = ("--user", found.user) if found.user is not None else ()
        # The launcher, which imports nothing of this package, judges nothing of what it becomes.
        program = program_of(command) or command.argv[0]
        words = (program, *command.argv[1:])
        argv = (sys.executable, "-I", launch.__file__, launch.VISIT, *drop, "--", *words)
        folder = self.topology.data_dir(found)
        cwd = command.cwd or (folder if folder.is_dir() else self.layout.run)
        return replace(command, argv=argv, cwd=cwd, launched=command.program)

    @override
    def beside(self, service: str, command: Command, *, image_of: str = "") -> Command:
        there = self.topology.find(service)
        found = there or self._found(image_of or service)
        folder = self.layout.data / (there.name if there else service)
        if not folder.is_dir():
            owners.data_folder(folder, found.user)
        return self.enter(
            found.name, replace(command, cwd=folder if there is None else command.cwd or folder)
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
        return scratch(self._found(service), self.topology, self._runner, environment, seed)

    def _found(self, service: str) -> Service:
        found = self.topology.find(service)
        if found is None:
            raise unknown(msg("service"), service, [s.name for s in self.topology.services])
        return found

    def _record(self, service: str) -> Record:
        records = self.state.load()
        if service not in records:
            raise unknown(msg("service"), service, list(records))
        if not self.supervisor.answers():
            raise OpsError(msg("the stack is not running"), msg("`techsapo up` starts it"))
        return records[service]
