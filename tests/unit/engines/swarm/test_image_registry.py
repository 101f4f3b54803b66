"""How an image that is built here comes to every machine through a registry."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from techsapo_ops.adapters.fleet import Fleet
from techsapo_ops.adapters.process import Command, Completed
from techsapo_ops.engines.swarm.images import bring
from techsapo_ops.errors import OpsError
from techsapo_ops.stack.desired import ContainerUnit

IMAGE = "techsapo/app:1.2"
BUILT = "sha256:" + "b" * 64
DIGEST = "sha256:" + "d" * 64
PINNED = f"registry.example.com:5000/shop/app@{DIGEST}"


@dataclass
class Machines:
    """A Runner: Docker of three machines, each with images by name, and one registry."""

    images: dict[str, dict[str, str]] = field(default_factory=lambda: {name: {} for name in "abc"})
    registry: dict[str, str] = field(default_factory=dict)
    refuses: str = ""
    built: list[str] = field(default_factory=list)

    def run(self, command: Command, *, timeout: float = 60.0) -> Completed:
        assert command.argv[:2] == ("docker", "--host")
        name, words = command.argv[2][-1], command.argv[3:]
        here = self.images[name]
        if words[:2] == ("image", "inspect"):
            lines = [f'{here[i]} ["{i}"] []' for i in words[4:] if i in here]
            return Completed(command, 0, "\n".join(lines).encode(), b"")
        if words[0] == "compose":
            self.built.append(name)
            here[IMAGE] = BUILT
        elif words[0] == "tag":
            here[words[2]] = here[words[1]]
        elif words[:2] == ("image", "rm"):
            del here[words[2]]
        elif words[0] == "push":
            if self.refuses:
                return Completed(command, 1, b"The push refers to repository\n", self.refuses.encode())
            self.registry[f"{words[1].rpartition(':')[0]}@{DIGEST}"] = here[words[1]]
            return Completed(command, 0, f"1.2: digest: {DIGEST} size: 528\n".encode(), b"")
        else:
            assert words[:2] == ("pull", "--quiet"), words
            if words[2] not in self.registry:
                return Completed(command, 1, b"", b"manifest unknown")
            here[words[2]] = self.registry[words[2]]
        return Completed(command, 0, b"", b"")


def brought(machines: Machines, tmp_path: Path) -> None:
    fleet = Fleet(machines, "docker", {name: f"unix:///{name}" for name in "abc"})
    unit = ContainerUnit(service="app-a", file="swarm/stack.yml", image=IMAGE, definition="{}", builds=True)
    registry = "registry.example.com:5000/shop"
    bring(fleet, "shop", tmp_path, [unit], lambda _: None, registry=registry)


def test_it_is_built_once_and_pulled_by_its_digest(tmp_path: Path) -> None:
    machines = Machines()

    brought(machines, tmp_path)

    assert machines.built == ["a"]
    assert machines.registry == {PINNED: BUILT}
    assert machines.images == {name: {IMAGE: BUILT} for name in "abc"}, "under no other name, that would stay"


def test_a_machine_that_has_it_is_not_asked_to_build_it_again(tmp_path: Path) -> None:
    machines = Machines()
    machines.images["b"][IMAGE] = BUILT

    brought(machines, tmp_path)

    assert machines.built == []
    assert machines.images == {name: {IMAGE: BUILT} for name in "abc"}


def test_a_registry_that_does_not_take_it_is_said_with_its_words(tmp_path: Path) -> None:
    machines = Machines(refuses="denied: requested access to the resource is denied")

    with pytest.raises(OpsError, match=r"a: cannot push .*example.com:5000/shop/app:1.2: denied") as refused:
        brought(machines, tmp_path)

    assert "docker login" in refused.value.hint
    assert machines.images["a"] == {IMAGE: BUILT}
