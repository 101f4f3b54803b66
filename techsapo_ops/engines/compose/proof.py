"""What the containers of a stack really are, asked of Docker and not of the tool's own notes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from techsapo_ops.engines.containers.proof import difference
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.stack.desired import Desired
from techsapo_ops.stack.engine import Mismatch

if TYPE_CHECKING:
    from techsapo_ops.engines.compose.recorded import ComposeStack

_TIMEOUT = 60.0


def mismatches(stack: ComposeStack, desired: Desired, services: Sequence[str]) -> tuple[Mismatch, ...]:
    """How the containers of `services` differ from the compose files.

    Docker Compose labels a container with a digest of what it made it from, and tells the digest of what
    the file says now. Another version of it may make another digest of the same: then it proves nothing.
    """
    units = [unit for name, unit in desired.containers.items() if name in services]
    glance = stack.glance()
    containers = glance.containers
    files = sorted({unit.file for unit in units})
    with ThreadPoolExecutor(max(len(files), 1)) as pool:
        hashes = {
            name: h for part in pool.map(lambda f: _hashes(stack, f), files) for name, h in part.items()
        }
    found = {unit.service: difference(unit, containers.get(unit.service), glance.images) for unit in units}
    other = [n for n, what in found.items() if not what and hashes.get(n) != containers[n].definition]
    version = stack.docker.compose_version() if other else None
    for name in other:
        if _number(containers[name].compose) == _number(version):
            found[name] = msg("its container was made with other settings than the file has")
    return tuple(Mismatch(name, what, restart=True) for name, what in found.items() if what)


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
