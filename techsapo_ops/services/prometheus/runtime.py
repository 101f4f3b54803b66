"""What is done with Prometheus, and throwaway copies of it that read backed-up blocks."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from techsapo_ops.adapters import owners
from techsapo_ops.adapters.files import let_read, write_atomic
from techsapo_ops.adapters.process import Command
from techsapo_ops.adapters.prometheus import Prometheus, Rule
from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.messages import msg
from techsapo_ops.services.loaded_configuration import TIMEOUT, Loaded, Server, lacking
from techsapo_ops.services.made_secrets import hashed_login, make_login
from techsapo_ops.services.monitor import USER
from techsapo_ops.services.monitoring import SCRATCH_PASSWORD
from techsapo_ops.services.prometheus.health import health_parts
from techsapo_ops.services.prometheus.scrape import yml_in
from techsapo_ops.services.runtime import SCRATCH, Place, Runtime, ThrowawayContainer, ThrowawayProgram
from techsapo_ops.spec.models.base import seconds as duration
from techsapo_ops.spec.secret import Secret
from techsapo_ops.stack.desired import RenderedFile
from techsapo_ops.stack.kind import LOOPBACK, executable
from techsapo_ops.stack.service import Service

if TYPE_CHECKING:
    from techsapo_ops.stack.topology import Topology


_BLANK = re.compile(r"\s+")
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


def _differs(server: Server, prefix: str, files: Mapping[str, RenderedFile]) -> str:
    asked = _client(server)
    path = prefix + yml_in(server.folder)
    ours = read_yaml(files[path].content)
    difference = lacking(ours, read_yaml(asked.config()))
    if difference:
        return difference
    folder = path.rpartition("/")[0]
    groups: dict[str, Any] = {}
    for rules in ours.get("rule_files") or []:
        # A template may name rule files of its own, which are not ours to know.
        if (file := files.get(os.path.normpath(f"{folder}/{rules}"))) is None:
            return ""
        groups.update({group["name"]: group for group in read_yaml(file.content)["groups"] or ()})
    return _rules(asked, groups)


def _rules(server: Prometheus, groups: Mapping[str, Any]) -> str:
    loaded = server.rules()
    if sorted(groups) != sorted(loaded):
        odd = sorted(set(groups) ^ set(loaded))
        return msg("the rule groups differ: {groups}", groups=", ".join(odd))
    for name, group in groups.items():
        if len(group["rules"]) != len(loaded[name]):
            return msg(
                "group {name} has {there} rules instead of {ours}",
                name=name,
                there=len(loaded[name]),
                ours=len(group["rules"]),
            )
        for ours, theirs in zip(group["rules"], loaded[name], strict=True):
            if what := _rule(server, ours, theirs):
                return what
    return ""


def _rule(server: Prometheus, ours: Mapping[str, Any], theirs: Rule) -> str:
    name = ours.get("alert") or ours["record"]
    if name != theirs.name:
        return msg("the rule {theirs} is loaded instead of {ours}", theirs=theirs.name, ours=name)
    if duration(str(ours.get("for", "0s"))) != theirs.seconds:
        return msg(
            "{name} waits {seconds:g} s instead of {ours}",
            name=name,
            seconds=theirs.seconds,
            ours=ours.get("for", "0s"),
        )
    for key, there in (("labels", theirs.labels), ("annotations", theirs.annotations)):
        if what := lacking(ours.get(key) or {}, there, key):
            return msg("{name}: {what}", name=name, what=what)
    wanted, runs = _BLANK.sub("", str(ours["expr"])), _BLANK.sub("", theirs.query)
    if wanted != runs and server.formatted(str(ours["expr"])) != server.formatted(theirs.query):
        return msg("the query of {name} is {query}", name=name, query=" ".join(theirs.query.split()))
    return ""


def _client(server: Server) -> Prometheus:
    return Prometheus(server.url, timeout=TIMEOUT, login=server.login)


LOADED = Loaded(_differs, lambda server: _client(server).reloaded())


class PrometheusRuntime(Runtime):
    """It asks for a login that is made here."""

    health_parts = staticmethod(health_parts)
    loaded = LOADED

    @override
    def make_keys(self, topology: Topology) -> None:
        make_login(topology, "prometheus")

    @override
    def throwaway_program(self, service: Service, place: Place) -> ThrowawayProgram:
        configuration = place.folder / "prometheus.yml"
        write_atomic(configuration, b"{}\n", 0o600, owners.ids(service.user))
        # Other users of this host reach its port too, and a backup is not theirs to read.
        password, web = Secret(secrets.token_hex(24)), place.folder / "web.yml"
        write_atomic(web, hashed_login(password).encode(), 0o600, owners.ids(service.user))
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
