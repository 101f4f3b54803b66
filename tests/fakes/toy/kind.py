"""What the toy is to the rest of the tool."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from techsapo_ops.spec.models import Spec
from techsapo_ops.stack.container import Container
from techsapo_ops.stack.desired import Program, RenderedFile
from techsapo_ops.stack.kind import LOOPBACK, Kind, Wanted, executable
from techsapo_ops.stack.places import Places
from techsapo_ops.stack.service import Probe, Service, ServiceFacts
from techsapo_ops.stack.templates import Templates
from techsapo_ops.stack.topology import Topology

SERVER = "toy/server.py"
CONFIG = "toy/toy.json"


@dataclass
class Toy(Kind):
    """A server on `port`, in a container of `image`."""

    port: int
    image: str = "toy:1"
    greeting: str = "hello"

    networks = ("metrics",)
    reads = (CONFIG,)
    port_setting = "toy.port"
    reload_command = ("python3", "-c", "import os, signal; os.kill(1, signal.SIGHUP)")

    def __post_init__(self) -> None:
        self.facts = ServiceFacts(
            kind="toy", title="Toy", image=self.image, port=9777, user="toy", uid=0,
            probe=Probe("http", "/"), binary="python3",
            data=True, reload="HUP", needs=("app",), metrics_path="/metrics",
        )  # fmt: skip

    def instances(self, spec: Spec, places: Places) -> Iterable[Wanted]:
        yield Wanted(self.name, LOOPBACK, self.port)

    def files(self, topology: Topology, templates: Templates) -> Iterator[RenderedFile]:
        if topology.has(self.name):
            program = Path(__file__).with_name("server.py").read_text(encoding="utf-8")
            yield RenderedFile(SERVER, program)
            yield RenderedFile(CONFIG, json.dumps({"greeting": self.greeting}) + "\n")

    def program(self, topology: Topology, service: Service) -> Program:
        folder = topology.data_dir(service)
        argv = (executable(service), *arguments(topology, service))
        return Program(
            service.name, argv, folder, user=service.user, reload_signal=self.facts.reload, config=self.reads
        )

    def container(self, topology: Topology, service: Service) -> Container:
        return Container(
            command=("python3", *arguments(topology, service)),
            port=service.facts.port,
            config=("toy",),
            volume=service.facts.container_data,
        )


def arguments(topology: Topology, service: Service) -> tuple[str, ...]:
    listens = topology.listens(service)
    config, data = topology.config_dir(), topology.data_dir(service)
    return (str(config / SERVER), str(config / CONFIG), str(data), listens.host, str(listens.port))
