"""Throwaway toys, for words as a test."""

from __future__ import annotations

from pathlib import Path

from fakes.toy import kind
from techsapo_ops.adapters.files import write_atomic
from techsapo_ops.adapters.process import Command
from techsapo_ops.services.runtime import SCRATCH, Place, Runtime, ThrowawayContainer, ThrowawayProgram
from techsapo_ops.stack.kind import LOOPBACK, executable
from techsapo_ops.stack.service import Probe, Service

_ASK = "import urllib.request as r; r.urlopen('http://127.0.0.1:9777/')"


class ToyRuntime(Runtime):
    def throwaway_program(self, service: Service, place: Place) -> ThrowawayProgram:
        server = _written(place.folder)
        argv = (executable(service), str(server), str(server.with_name("toy.json")), str(place.folder))
        return ThrowawayProgram((*argv, LOOPBACK, str(place.port)), Probe("http", "/"))

    def throwaway_container(self, service: Service, folder: Path) -> ThrowawayContainer:
        _written(folder)
        argv = ("python3", f"{SCRATCH}/server.py", f"{SCRATCH}/toy.json", SCRATCH, "0.0.0.0", "9777")
        return ThrowawayContainer(argv, Command(("python3", "-c", _ASK)))


def _written(folder: Path) -> Path:
    write_atomic(folder / "toy.json", b'{"greeting": "as a test"}', 0o644)
    write_atomic(folder / "server.py", Path(kind.__file__).with_name("server.py").read_bytes(), 0o644)
    return folder / "server.py"


RUNTIME = ToyRuntime()
