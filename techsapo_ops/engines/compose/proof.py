"""What the containers of a stack really are, asked of Docker and not of the tool's own notes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from techsapo_ops.adapters.container_facts import ContainerFacts
from techsapo_ops.engines.containers.strangers import in_words
from techsapo_ops.engines.containers.units import containers_of
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.stack.desired import ContainerUnit, Desired
from techsapo_ops.stack.engine import Mismatch

if TYPE_CHECKING:
    from techsapo_ops.engines.compose.recorded import ComposeStack

_TIMEOUT = 60.0


def mismatches(stack: ComposeStack, desired: Desired, services: Sequence[str]) -> tuple[Mismatch, ...]:
    """How the containers of `services` differ from the compose files.

    Docker Compose labels a container with a digest of what it made it from, and tells the digest of what
    the file says now. Another version of it may make another digest of the same: then it proves nothing. A
    tag may have moved to another image since.
    """
    units = [unit for name, unit in containers_of(desired).items() if name in services]
    glance = stack.glance()
    containers = glance.containers
    files = sorted({unit.file for unit in units})
    with ThreadPoolExecutor(max(len(files), 1)) as pool:
        hashes = {
            name: h for part in pool.map(lambda f: _hashes(stack, f), files) for name, h in part.items()
        }
    found = [_mismatch(unit, containers.get(unit.service), glance.images) for unit in units]
    other = [
        unit.service
        for unit, mismatch in zip(units, found, strict=True)
        if mismatch is None and hashes.get(unit.service) != containers[unit.service].definition
    ]
    version = stack.docker.compose_version() if other else None
    found += [
        Mismatch(name, msg("its container was made with other settings than the file has"), restart=True)
        for name in other
        if _number(containers[name].compose) == _number(version)
    ]
    return tuple(mismatch for mismatch in found if mismatch is not None)


def _number(version: str | None) -> str:
    """`2.26.1` of `v2.26.1` and of `2.26.1-4`: the plugin's own word and the label's differ in the rest."""
    found = re.search(r"\d+(\.\d+)*", version or "")
    return found[0] if found is not None else ""


def _hashes(stack: ComposeStack, file: str) -> dict[str, str]:
    done = stack.docker.compose(
        stack.project, stack.layout.config / file, ("config", "--hash", "*"), timeout=_TIMEOUT
    )
    if done.code != 0:
        raise OpsError(
            msg(
                "Docker Compose can't read {config}: {output}",
                config=stack.layout.config / file,
                output=done.output,
            )
        )
    lines = (line.split() for line in done.stdout.decode().splitlines())
    return {words[0]: words[1] for words in lines if len(words) == 2}


def _mismatch(
    unit: ContainerUnit,
    container: ContainerFacts | None,
    present: Mapping[str, str],
) -> Mismatch | None:
    name = unit.service
    if container is None:
        return Mismatch(name, msg("it has no container"), restart=True)
    if not container.running:
        return Mismatch(name, msg("its container is {state}", state=container.state), restart=True)
    if container.reference != unit.image:
        return Mismatch(
            name,
            msg(
                "it runs the image {reference} instead of {image}",
                reference=container.reference,
                image=unit.image,
            ),
            restart=True,
        )
    if present.get(unit.image, container.image) != container.image:
        return Mismatch(name, msg("its image {image} is another one now", image=unit.image), restart=True)
    return None


def strangers(stack: ComposeStack) -> tuple[str, ...]:
    """Containers of the project that are no service of it."""
    # One that never ran is what an `up` that was interrupted had made ready.
    there = (c for c in stack.docker.containers(stack.project) if c.state != "created")
    return in_words(there, stack.state.load())
