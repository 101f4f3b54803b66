"""What is done with Prometheus, and throwaway copies of it that read backed-up blocks."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from typing_extensions import override

from techsapo_ops.adapters import owners
from techsapo_ops.adapters.files import let_read, write_atomic
from techsapo_ops.adapters.process import Command
from techsapo_ops.services import web_login_files
from techsapo_ops.services.prometheus.client import SCRATCH_PASSWORD
from techsapo_ops.services.prometheus.health import health_parts
from techsapo_ops.services.prometheus.readback import LOADED
from techsapo_ops.services.runtime import SCRATCH, Place, Runtime, ThrowawayContainer, ThrowawayProgram
from techsapo_ops.services.web_login import USER
from techsapo_ops.spec.secret import Secret
from techsapo_ops.stack.kind import LOOPBACK, executable
from techsapo_ops.stack.service import Service

if TYPE_CHECKING:
    from techsapo_ops.stack.topology import Topology

_READS_ONLY = (
    "--log.level=warn",
    # It keeps the blocks as they are: none is too old, none is merged with others or written anew because
    # series of it were deleted.
    "--storage.tsdb.retention.time=100y",
    "--storage.tsdb.min-block-duration=100y",
    "--storage.tsdb.max-block-duration=100y",
    # Every sample is read once.
    "--query.timeout=1h",
    "--query.max-samples=1000000000",
)
"""Options of a Prometheus that only reads what it was given."""


class PrometheusRuntime(Runtime):
    """It asks for a login that is made here."""

    health_parts = staticmethod(health_parts)
    loaded = LOADED

    @override
    def make_keys(self, topology: Topology) -> None:
        web_login_files.make(topology, "prometheus")

    @override
    def throwaway_program(self, service: Service, place: Place) -> ThrowawayProgram:
        configuration = place.folder / "prometheus.yml"
        write_atomic(configuration, b"{}\n", 0o600, owners.ids(service.user))
        # Other users of this host reach its port too, and a backup is not theirs to read.
        password, web = Secret(secrets.token_hex(24)), place.folder / "web.yml"
        write_atomic(web, web_login_files.hashed(password).encode(), 0o600, owners.ids(service.user))
        write_atomic(place.folder / SCRATCH_PASSWORD, password.reveal().encode(), 0o600)
        argv = (
            executable(service), f"--config.file={configuration}",
            f"--storage.tsdb.path={place.folder / 'data'}",
            f"--web.listen-address={LOOPBACK}:{place.port}", f"--web.config.file={web}", *_READS_ONLY,
        )  # fmt: skip
        return ThrowawayProgram(argv, service.facts.probe, USER, password)

    @override
    def throwaway_container(self, service: Service, folder: Path) -> ThrowawayContainer:
        configuration = folder / "prometheus.yml"
        write_atomic(configuration, b"{}\n", 0o600)
        let_read(configuration, [service.facts.uid])
        # What it writes stays in memory and is little; its blocks lie in it to be read alone, so that none of
        # it is left on the host that another user owns.
        data = service.facts.container_data
        blocks = tuple((block, f"{data}/{block.name}") for block in sorted((folder / "data").iterdir()))
        at = f"{LOOPBACK}:{service.facts.port}"
        argv = (
            f"--config.file={SCRATCH}/prometheus.yml", f"--storage.tsdb.path={data}",
            f"--web.listen-address={at}", *_READS_ONLY,
        )  # fmt: skip
        ready = Command(("promtool", "check", "ready", f"--url=http://{at}"))
        return ThrowawayContainer(argv, ready, blocks=blocks, memory_folder=data)


RUNTIME = PrometheusRuntime()
