"""The whole wanted state of a stack as one JSON document, so that it can be had again later.

A roll back needs neither the old spec nor the old templates, and no tool has to judge the files again:
they were accepted and ran.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from techsapo_ops.adapters.host_facts import HostFacts
from techsapo_ops.messages import msg
from techsapo_ops.spec.load import load
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.redact import as_given, resolved, secrets_of, to_yaml_data
from techsapo_ops.stack.desired import ContainerUnit, Desired, Program, RenderedFile
from techsapo_ops.stack.layout import Layout
from techsapo_ops.stack.places import places_of
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.topology import Absent, Topology

_VERSION = 1


@dataclass(frozen=True, slots=True)
class _OnHost:
    """What a spec came to on a host."""

    engine: str
    layout: Layout
    host: HostFacts
    services: tuple[Service, ...]
    absent: tuple[Absent, ...]
    units: tuple[Program | ContainerUnit, ...]


@cache
def _on_host() -> TypeAdapter[_OnHost]:
    # Made where it is used: it takes as long as all else here.
    return TypeAdapter(_OnHost)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one apply wanted, and the resolved spec it came from (the engine asks databases with it).

    `overrides` are the operator's own templates by name. `given`, of an apply that was read from the ledger,
    is the spec without the defaults that were filled in (`spec`), and which secrets it names by file
    (`files`: file by dotted path).
    """

    desired: Desired
    spec: Spec
    overrides: Mapping[str, str] | None = None
    given: Mapping[str, Any] | None = None

    @property
    def identity(self) -> str:
        """Digest of what the services get to see: equal for two applies that make no difference.

        Facts about the host and comments in the spec are left out.
        """
        desired = self.desired
        value = [
            desired.topology.engine,
            [service.name for service in desired.topology.services],
            sorted((f.path, f.digest, f.mode) for f in desired.files),
            sorted((u.service, u.fingerprint, u.reload_signal or "") for u in desired.units),
        ]
        return hashlib.sha256(json.dumps(value).encode()).hexdigest()

    def moved_to(self, state: Path) -> Snapshot:
        """The same where the state directory is `state`: of several machines each may have it elsewhere.

        On one host paths are a part of what runs, and it stays as it is.
        """
        topology = self.desired.topology
        if not topology.places.state_travels or topology.layout.state == state:
            return self
        spec = state.parent / topology.layout.spec_file.name
        layout = replace(topology.layout, state=state, config=state / "generated", spec=spec)
        return replace(self, desired=replace(self.desired, topology=topology.relocated(layout)))

    def only(self, names: Collection[str]) -> Snapshot:
        """The same state with no other services than `names`."""
        return replace(self, desired=self.desired.only(names))


def spec_hash(spec: Spec) -> str:
    """SHA-256 of the resolved spec with its secrets masked, hexadecimal: a short secret can't be guessed."""
    text = json.dumps(resolved(spec), sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def freeze(snapshot: Snapshot, keep: Callable[[bytes], str]) -> bytes:
    """`snapshot` as JSON. `keep` stores the content of a file and returns its digest.

    The document holds the spec's secrets: it is written for its owner alone.
    """
    desired = snapshot.desired
    topology = desired.topology
    on_host = _OnHost(
        topology.engine, topology.layout, topology.host, topology.services, topology.absent, desired.units
    )
    dumped = _on_host().dump_python(on_host, mode="json")
    for users in ("users", "app_users"):
        dumped["host"][users].sort()  # sets, in another order each time
    value = {
        "version": _VERSION,
        "on_host": dumped,
        "files": [
            {
                "path": file.path,
                "digest": keep(file.content.encode()),
                "mode": file.mode,
                "secret": file.secret,
                "owner": file.owner,
            }
            for file in desired.files
        ],
        "spec": to_yaml_data(snapshot.spec, lambda path: path),
        # These two are not needed to go back: they tell what of a later plan comes from the spec, and what
        # from a new version's defaults and templates.
        "given": snapshot.given or _given(snapshot.spec),
        "overrides": snapshot.overrides,
        "secrets": {path: secret.reveal() for path, secret in secrets_of(snapshot.spec).items()},
    }
    return json.dumps(value, ensure_ascii=False, sort_keys=True).encode()


def thaw(document: bytes, content: Callable[[str], bytes]) -> Snapshot:
    """The snapshot of a document that `freeze` made; `content` gives a file's bytes by digest.

    Raises KeyError, TypeError or ValueError for a document of another shape, OpsError for a spec that
    this version no longer takes.
    """
    value = json.loads(document)
    if value["version"] != _VERSION:
        raise ValueError(msg("version {value}", value=value["version"]))
    files = tuple(
        RenderedFile(
            f["path"], content(f["digest"]).decode(), mode=f["mode"], secret=f["secret"], owner=f["owner"]
        )
        for f in value["files"]
    )
    on_host = _on_host().validate_python(value["on_host"])
    spec = _read_spec(value["spec"], value["secrets"])
    places = places_of(on_host.engine)
    topology = Topology(spec, places, on_host.layout, on_host.host, on_host.services, on_host.absent)
    desired = Desired(topology, files, on_host.units)
    return Snapshot(desired, spec, value["overrides"], value["given"])


def _read_spec(data: Mapping[str, Any], secrets: Mapping[str, str]) -> Spec:
    text = json.dumps(data, ensure_ascii=False)
    loaded = load(text, {}, secrets.__getitem__, filename="the recorded spec", cross_check=False)
    return loaded.spec


def spec_now(snapshot: Snapshot) -> Spec:
    """The spec of an apply as this version reads it: what it left to the defaults has this version's.

    Raises OpsError for a spec that this version no longer takes.
    """
    if snapshot.given is None:  # it was not read from the ledger
        return snapshot.spec
    values = secrets_of(snapshot.spec)
    secrets = {file: values[path].reveal() for path, file in snapshot.given["files"].items()}
    return _read_spec(snapshot.given["spec"], secrets)


def _given(spec: Spec) -> dict[str, Any]:
    files = {path: secret.file for path, secret in secrets_of(spec).items() if secret.file is not None}
    return {"spec": as_given(spec), "files": files}


def file_entries(document: bytes) -> list[dict[str, Any]]:
    """Path, digest, mode, secret and owner of each file of a frozen snapshot."""
    entries: list[dict[str, Any]] = json.loads(document)["files"]
    return entries
