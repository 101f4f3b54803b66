"""Three machines with a volume each for the state directory, and one Swarm's store."""

from __future__ import annotations

from techsapo_ops.adapters.process import Command, Completed
from techsapo_ops.engines.swarm import bundle
from tests.fakes.swarm_store import SwarmStore


class Machines:
    """A Runner; nothing else than what sharing asks is answered. `silent` machines answer nothing at all."""

    def __init__(self) -> None:
        self.store = SwarmStore()
        self.silent: set[str] = set()
        self.volumes: dict[str, dict[str, bytes]] = {name: {} for name in "abc"}

    def run(self, command: Command, *, timeout: float = 60.0) -> Completed:
        """As a Runner."""
        assert command.argv[:2] == ("docker", "--host"), command.argv
        name, words = command.argv[2], command.argv[3:]
        volume = self.volumes[name]
        if name in self.silent:
            return Completed(command, 1, b"", b"Cannot connect to the Docker daemon")
        if words[0] in {"config", "info"}:
            return self.store.run(Command(("docker", *words), stdin=command.stdin), timeout=timeout)
        if words[:2] == ("node", "ls"):
            return Completed(command, int(self.store.away), b"id", b"")
        if words[0] == "version":
            return Completed(command, 0, b"26.1.5", b"")
        if words[:2] == ("container", "inspect"):
            return Completed(command, 0, b"id", b"")
        assert words[0] == "cp", words
        if words[1] == "-":
            with bundle.tarfile.open(fileobj=bundle.io.BytesIO(command.stdin or b"")) as tar:
                volume.update({e.name: tar.extractfile(e).read() for e in tar})  # type: ignore[union-attr] # files
            return Completed(command, 0, b"", b"")
        slot = words[1].rpartition("/")[2]
        if slot not in volume:
            return Completed(command, 1, b"", b"no such file")
        return Completed(command, 0, bundle.single(slot, volume[slot]), b"")
