"""The whole wanted state of a stack as one JSON document, so that it can be had again later.

A roll back needs neither the old spec nor the old templates, and no tool has to judge the files again:
they were accepted and ran.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from techsapo_ops.adapters.host_facts import HostFacts, Owner
from techsapo_ops.catalogue.models import CHAT_ANSWER
from techsapo_ops.engines.places import places_of
from techsapo_ops.messages import msg
from techsapo_ops.services.registry import facts as facts_of_kinds
from techsapo_ops.spec.edition import FIRST
from techsapo_ops.spec.fields import sections
from techsapo_ops.spec.load import load
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.models.app import Limits, WallBounce
from techsapo_ops.spec.models.edge import Nginx
from techsapo_ops.spec.models.monitoring import Exporters
from techsapo_ops.spec.redact import as_given, resolved, secrets_of, to_yaml_data
from techsapo_ops.stack.desired import FORMS, Desired, RenderedFile, tuples
from techsapo_ops.stack.layout import Layout
from techsapo_ops.stack.machine import Machine
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.service_facts import Probe, ServiceFacts
from techsapo_ops.stack.topology import Absent, Topology

_VERSION = 1
_FACTS_SINCE = ("published", "runs_package", "on_host", "on_machine", "front")
"""Facts of a service that version 0.1 does not know and refuses: they follow from its kind."""
_LATER = ("systemd", "shares_mounts")
"""Facts of the host that version 0.1 refuses; only units and files come from them, which are recorded."""
_FIRST_LANGUAGE = "auto"
"""The default of `wallbounce.language` in version 0.1, which recorded defaults as if the spec said them."""
_FIELDS_SINCE: Mapping[type[BaseModel], tuple[str, ...]] = {
    Limits: ("client_connections", "client_streams", "connections", "key_shares"),
    Exporters: ("blackbox",),
    Nginx: ("client_rate", "hsts_max_age", "hsts_subdomains"),
    Spec: ("objectives", "floating_address", "swarm"),
    WallBounce: ("cache_share",),
}
"""Fields of the spec with a default that version 0.1 refuses: at that default they are left out."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one apply wanted, and the resolved spec it came from (the engine asks databases with it).

    `overrides` are the operator's own templates by name, None where version 0.1 did not keep them. `given`,
    of an apply that was read from the ledger, is the spec without the defaults that were filled in
    (`spec`), and which secrets it names by file (`files`: file by dotted path).
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
        if not topology.machines or topology.layout.state == state:
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
    given = snapshot.given or _given(snapshot.spec)
    value = {
        "version": _VERSION,
        "topology": {
            "engine": topology.engine,
            "layout": _layout_data(topology.layout),
            "host": {
                # What only the units below come from; version 0.1 refuses what it does not know.
                **{name: fact for name, fact in asdict(topology.host).items() if name not in _LATER},
                "users": sorted(topology.host.users),
                "app_users": sorted(topology.host.app_users),
            },
            "services": [_service_data(service) for service in topology.services],
            "absent": [asdict(absent) for absent in topology.absent],
        },
        **{
            form.recorded_as: [u.to_json() for u in desired.units if u.recorded_as == form.recorded_as]
            for form in FORMS
        },
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
        "spec": _for_older(_without_empty(to_yaml_data(snapshot.spec, lambda path: path), given["spec"])),
        # These two are not needed to go back, and version 0.1 passes over them: they tell what of a later
        # plan comes from the spec, and what from a new version's defaults and templates.
        "given": given,
        "overrides": snapshot.overrides,
        "secrets": {path: secret.reveal() for path, secret in secrets_of(snapshot.spec).items()},
    }
    return json.dumps(value, ensure_ascii=False, sort_keys=True).encode()


def _for_older(spec: dict[str, Any]) -> dict[str, Any]:
    """A spec as data without what version 0.1 does not know, as far as it is the default."""
    for _, model, section in sections(spec):
        for name in _FIELDS_SINCE.get(model, ()):
            default = model.model_fields[name].get_default(call_default_factory=True)
            if name not in section:
                continue
            inner = isinstance(default, BaseModel)
            found = type(default).model_validate(section[name]) if inner else section[name]
            if found == default:
                del section[name]
    return spec


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
    # One that was recorded before a form of units was invented has no list of it; none at all is damage.
    recorded = [form for form in FORMS if form.recorded_as in value]
    if not recorded:
        raise KeyError(FORMS[0].recorded_as)
    units = tuple(form.from_json(entry) for form in recorded for entry in value[form.recorded_as])
    spec = _read_spec(value["spec"], value["secrets"])
    desired = Desired(_topology(value["topology"], spec), files, units)
    return Snapshot(desired, spec, value.get("overrides"), value.get("given"))


def _read_spec(data: Mapping[str, Any], secrets: Mapping[str, str]) -> Spec:
    text = json.dumps(data, ensure_ascii=False)
    loaded = load(text, {}, secrets.__getitem__, filename="the recorded spec", cross_check=False)
    return loaded.spec


def spec_now(snapshot: Snapshot, wanted: Spec) -> Spec:
    """The spec of an apply as this version reads it: what it left to the defaults has this version's.

    Of an apply that version 0.1 recorded, the defaults of then, but where they stand for what `wanted` leaves
    to the edition, which was not said then either. Raises OpsError for a spec that this version no longer
    takes.
    """
    if snapshot.given is None:
        return _unsaid(snapshot.spec, wanted)
    values = secrets_of(snapshot.spec)
    secrets = {file: values[path].reveal() for path, file in snapshot.given["files"].items()}
    return _read_spec(snapshot.given["spec"], secrets)


def _unsaid(recorded: Spec, wanted: Spec) -> Spec:
    """`recorded` without defaults of 0.1 in fields that `wanted` leaves to the edition."""
    before = recorded.wallbounce
    if before.language == _FIRST_LANGUAGE and wanted.wallbounce.language is None:
        before = before.model_copy(update={"language": None})
    unsaid = {
        name: provider.model_copy(update={"max_output_tokens": None})
        for name, provider in recorded.providers.items()
        if getattr(provider, "max_output_tokens", None) == CHAT_ANSWER
        and name in wanted.providers
        and getattr(wanted.providers[name], "max_output_tokens", None) is None
    }
    update = {"wallbounce": before, "providers": {**recorded.providers, **unsaid}}
    return recorded.model_copy(update=update)


def _without_empty(data: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """`data` without the lists and mappings that are empty by default.

    Version 0.1 refuses a field that it does not know, and would then read no apply of this version.
    """
    kept = {key: value for key, value in data.items() if key in given or value not in ([], {})}
    return {
        key: _without_empty(value, found if isinstance(found := given.get(key), Mapping) else {})
        if isinstance(value, Mapping)
        else value
        for key, value in kept.items()
    }


def _given(spec: Spec) -> dict[str, Any]:
    files = {path: secret.file for path, secret in secrets_of(spec).items() if secret.file is not None}
    return {"spec": as_given(spec), "files": files}


def file_entries(document: bytes) -> list[dict[str, Any]]:
    """Path, digest, mode, secret and owner of each file of a frozen snapshot."""
    entries: list[dict[str, Any]] = json.loads(document)["files"]
    return entries


def _layout_data(layout: Layout) -> dict[str, str | int | None]:
    return {
        "state": str(layout.state),
        "config": str(layout.config),
        "spec": str(layout.spec) if layout.spec is not None else None,
        "environment": layout.environment,
        "began_with": layout.began_with,
    }


def _topology(value: Mapping[str, Any], spec: Spec) -> Topology:
    where = value["layout"]
    host = value["host"]
    return Topology(
        spec,
        places_of(value["engine"]),
        Layout(
            Path(where["state"]),
            Path(where["config"]),
            Path(where["spec"]) if where["spec"] is not None else None,
            where["environment"],
            where.get("began_with", FIRST),
        ),
        HostFacts(
            **{
                **host,
                "users": frozenset(host["users"]),
                "app_users": frozenset(host["app_users"]),
                "owner": Owner(**host.get("owner", {})),
            }
        ),
        tuple(_service(entry) for entry in value["services"]),
        tuple(Absent(**entry) for entry in value["absent"]),
    )


def _service_data(service: Service) -> dict[str, Any]:
    value = asdict(service)
    for name in _FACTS_SINCE:
        del value["facts"][name]
    if service.machine is None:
        del value["machine"]  # nor does 0.1 know this one
    return value


def _service(entry: Mapping[str, Any]) -> Service:
    facts = entry["facts"]
    known = facts_of_kinds().get(entry["kind"])
    since = {name: getattr(known, name) for name in _FACTS_SINCE} if known is not None else {}
    made = ServiceFacts(**{**tuples(facts), **since, "probe": Probe(**facts["probe"])})
    machine = Machine(**entry["machine"]) if "machine" in entry else None
    return Service(**{**tuples(entry), "facts": made, "machine": machine})
