"""Whether this host's servers are too old for the data of a copy, seen before any of them is started."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from techsapo_ops.adapters.docker import full_reference
from techsapo_ops.adapters.process import Command
from techsapo_ops.backup import registry
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.registry import kind_of
from techsapo_ops.spec.models import Spec
from techsapo_ops.stack.places import Places
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.stack import Stack

_NUMBERS = re.compile(r"(?<![\w.])v?=?(\d+(?:\.\d+)+)")
_TAG = re.compile(r"v?(\d+(?:\.\d+)*)(?![\w.])")
_SECONDS = 20.0


def too_old(data: Iterable[tuple[str, str]], stack: Stack) -> Iterator[tuple[str, str]]:
    """What is older here than what was backed up, and what to try; each server once.

    `data` are kinds of parts, and program and version that each was backed up from. What can't be told, as of
    an image of another name, is left to the restore, which asks the server that runs.
    """
    found: dict[str, list[tuple[str, str]]] = {}
    for part, server in data:
        kind = registry.find(part.partition(":")[0])
        if kind is not None and kind.throwaway and version_in(server):
            found.setdefault(kind.throwaway, []).append((part, server))
    for name, held in found.items():
        service = next(iter(stack.topology.of_kind(name)), None)
        here = version_here(stack, service) if service is not None else ""
        part, server = held[0]
        if service is not None and here and _older(here, version_in(server)):
            ours = f"{server.partition(' ')[0]} {here}"
            without = " ".join(f"--without {each}" for each, _ in held)
            yield (
                _older_here(stack.topology.places, name, part, server, ours),
                msg(
                    "{remedy}; or {without}",
                    remedy=_remedy(stack.topology.places, service, version_in(server)),
                    without=without,
                ),
            )


def version_here(stack: Stack, service: Service) -> str:
    """Version of what will run for `service`, in digits and dots; empty where nothing tells it."""
    if stack.topology.places.from_images:
        return _of_image(stack.spec, service)
    if service.binary is None:
        return ""
    try:
        done = stack.runner.run(Command((service.binary, "--version")), timeout=_SECONDS)
    except OpsError:
        return ""
    return version_in(done.output.replace(service.binary, "")) if done.code == 0 else ""


def version_in(text: str) -> str:
    """The first version that a program's words hold: `8.0.2` of `Redis server v=8.0.2 sha=…`."""
    found = _NUMBERS.search(text)
    return found[1] if found else ""


def _of_image(spec: Spec, service: Service) -> str:
    """By the tag, and of images of the well-known name alone: anybody's own may count its versions anew."""
    kind = kind_of(service)
    if kind.built_from(spec):
        return ""
    wanted = full_reference(spec.image_of(kind.name, service.facts.image))
    name, _, tag = wanted.partition("@")[0].rpartition(":")
    known = full_reference(service.facts.image).rpartition(":")[0]
    registry_host, _, path = name.partition("/")
    if path and (registry_host == "localhost" or {".", ":"} & set(registry_host)):  # Docker's own rule
        name = path.removeprefix("library/")
    found = _TAG.match(tag)
    return found[1] if found and name == known else ""


def _older(here: str, made: str) -> bool:
    """As far as both tell: `8` is not older than `8.4`. What follows the second number is of no matter."""
    ours, theirs = ([int(number) for number in text.split(".")[:2]] for text in (here, made))
    return ours < theirs[: len(ours)]


def _older_here(places: Places, name: str, part: str, server: str, ours: str) -> str:
    if places.from_images:
        return msg(
            "{part} was backed up from {server}, and {ours} of images.{name} is older",
            part=part,
            server=server,
            ours=ours,
            name=name,
        )
    return msg(
        "{part} was backed up from {server}, and {ours} of this host is older",
        part=part,
        server=server,
        ours=ours,
    )


def _remedy(places: Places, service: Service, made: str) -> str:
    if places.from_images:
        image = full_reference(service.facts.image).rpartition(":")[0]
        return msg(
            "name a newer image, e.g. --set images.{kind}={image}:{tag}",
            kind=service.kind,
            image=image,
            tag=".".join(made.split(".")[:2]),
        )
    return msg(
        "update {package} ({binary})", package=service.facts.package or service.kind, binary=service.binary
    )
