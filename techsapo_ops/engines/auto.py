"""Which engine `engine: auto` means on this host."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from techsapo_ops.adapters.http import Unreachable, Untrusted, fetch
from techsapo_ops.engines.state import recorded_engine
from techsapo_ops.messages import msg

if TYPE_CHECKING:
    from techsapo_ops.adapters.process import Runner
    from techsapo_ops.spec.models import Spec
    from techsapo_ops.stack.desired import ContainerUnit
    from techsapo_ops.stack.layout import Layout
    from techsapo_ops.stack.places import EngineName

OLDEST_DAEMON = 25
"""Major version of the Docker Engine that knows `start_interval` of a health check, which the files use."""
_HUB = "registry-1.docker.io"
_REGISTRY_SECONDS = 2.0
_DAEMON_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Choice:
    """An engine and the reason for it, a clause such as `no Docker daemon answers`.

    `decided` says that this was found out now, and not told by the spec, the user or an earlier `up`.
    """

    engine: EngineName
    reason: str
    decided: bool = False


def explicit(spec: Spec, layout: Layout, asked: EngineName | None) -> Choice | None:
    """What the user asks for, else what the stack was brought up with, else what the spec says.

    None for `auto` where nothing was brought up yet. A stack keeps its engine until someone asks for
    another: Docker's daemon being away for an hour must not start everything a second time.
    """
    if asked is not None:
        return Choice(asked, "--engine")
    if spec.engine == "swarm":
        return Choice("swarm", msg("engine: swarm"))  # whoever writes it names the machines as well
    recorded = recorded_engine(layout.state)
    if recorded is not None and recorded.engine != "swarm":  # which a spec of one host can't keep
        return Choice(
            "compose" if recorded.engine == "compose" else "native",
            msg("the stack was started with this engine"),
        )
    if spec.engine == "compose":
        return Choice("compose", msg("engine: compose"))
    return Choice("native", msg("engine: native")) if spec.engine == "native" else None


@dataclass(frozen=True, slots=True)
class Image:
    """An image that a stack needs; `bases` are what it is built from, where it is built here."""

    reference: str
    bases: tuple[str, ...] = ()


def images_of(units: Sequence[ContainerUnit], bases: Callable[[str], tuple[str, ...]]) -> tuple[Image, ...]:
    """The images that a stack needs, each once; `bases` tells what a service's is built from."""
    made = (Image(unit.image, bases(unit.service) if unit.builds else ()) for unit in units)
    return tuple(dict.fromkeys(made))


def names_of(images: Iterable[Image]) -> tuple[str, ...]:
    """Every reference of `images`, and of what they are built from."""
    return tuple(name for image in images for name in (image.reference, *image.bases))


def present_or_base(image: Image, present: Mapping[str, str]) -> bool:
    """Whether `image` is here, or can be built from what is here."""
    return image.reference in present or bool(image.bases and all(b in present for b in image.bases))


def find_out(images: Sequence[Image], binaries: Mapping[str, str], runner: Runner) -> Choice:
    """Compose if a daemon answers and each of `images` is there, can be built or can be pulled.

    Nothing is pulled to find out, and no manifest is asked for, which counts against Docker Hub's limits: an
    image that is missing counts as one that can be pulled when its registry answers. The tags are pinned, so
    one that is not there then is a mistake in `images:` and told as one.
    """
    if "docker" not in binaries:
        return Choice("native", msg("there is no docker on PATH"), decided=True)
    from techsapo_ops.adapters.docker import Docker

    docker = Docker(runner, binaries["docker"])
    version = docker.answers(_DAEMON_SECONDS)
    if version is None:
        return Choice("native", msg("no Docker daemon answers"), decided=True)
    if too_old(version):
        reason = msg(
            "the Docker daemon is {version}, and {oldest_daemon} or newer is needed",
            version=version,
            oldest_daemon=OLDEST_DAEMON,
        )
        return Choice("native", reason, decided=True)
    if docker.attempt("compose", "version").code != 0:
        return Choice("native", msg("docker has no compose plugin"), decided=True)
    present = docker.image_ids(names_of(images))
    lacking = [image for image in images if not present_or_base(image, present)]
    wanted = dict.fromkeys(n for image in lacking for n in image.bases or (image.reference,))
    missing = [name for name in wanted if name not in present]
    for registry in dict.fromkeys(registry_of(name) for name in missing):
        if not _answers(registry):
            there = [name for name in missing if registry_of(name) == registry]
            more = msg(" and {count} more", count=len(there) - 1) if len(there) > 1 else ""
            reason = msg(
                "the image {there}{more} is not on this host, and {registry} does not answer",
                there=there[0],
                more=more,
                registry=registry,
            )
            return Choice("native", reason, decided=True)
    images_are = (
        msg("every image is on this host")
        if not missing
        else msg("{count} images can be pulled", count=len(missing))
    )
    return Choice(
        "compose", msg("a Docker daemon answers, and {images_are}", images_are=images_are), decided=True
    )


def too_old(version: str) -> bool:
    """Whether a daemon of `version` refuses the generated files."""
    major = version.partition(".")[0]
    return major.isdigit() and int(major) < OLDEST_DAEMON


def registry_of(reference: str) -> str:
    """Host of the registry that an image comes from."""
    first, slash, _ = reference.partition("/")
    named = slash and ("." in first or ":" in first or first == "localhost")
    return _HUB if not named or first == "docker.io" else first


def _answers(registry: str) -> bool:
    try:
        fetch(f"https://{registry}/v2/", timeout=_REGISTRY_SECONDS)
    except Untrusted:
        return True  # for the daemon to judge, which has authorities of its own in /etc/docker/certs.d
    except Unreachable:
        return False
    return True
