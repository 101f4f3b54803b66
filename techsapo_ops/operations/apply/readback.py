"""Proof that a configuration was applied: what the services say that they run, not what lies on the disk."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from techsapo_ops.adapters.alertmanager import Alertmanager
from techsapo_ops.adapters.http import Unreachable, fetch
from techsapo_ops.adapters.prometheus import ApiError, Prometheus, Rule
from techsapo_ops.operations.apply.loaded_configuration import lacking, load_yaml
from techsapo_ops.render.compose import CONFIG
from techsapo_ops.services.alertmanager.configuration import ALERTMANAGER_YML
from techsapo_ops.services.nginx.site import CONFIG_LOCATION, NGINX_CONF, config_digest
from techsapo_ops.services.prometheus.scrape import PROMETHEUS_YML
from techsapo_ops.spec.models.base import seconds as duration
from techsapo_ops.stack.address import Viewpoint
from techsapo_ops.stack.desired import Desired, RenderedFile
from techsapo_ops.stack.engine import Engine, Mismatch
from techsapo_ops.stack.service import Service

Proof = Callable[[Desired, Engine, Sequence[str], float], tuple[Mismatch, ...]]
"""`read_back`, or what a test has in its place."""

PATIENCE = 10.0
"""Seconds in which a reload must have become visible; each server takes milliseconds."""
_REFUSED_AFTER = 1.0
"""Seconds after which a server's word that its last reload failed is taken to mean this one."""
_SILENT_REFUSAL = 5.0
"""Seconds for nginx, which reloads as quickly but never says that it refused."""
_PAUSE = 0.05
_TIMEOUT = 5.0
_BLANK = re.compile(r"\s+")


def read_back(
    desired: Desired, engine: Engine, services: Sequence[str], wait: float = 0.0
) -> tuple[Mismatch, ...]:
    """How what runs of `services` differs from `desired`; in the order of `services`, at most one each.

    Processes or containers by the engine; of Prometheus, Alertmanager and nginx also the configuration that
    they say they have loaded. A reload is given `wait` seconds to show.
    """
    by_engine = {m.service: m for m in engine.mismatches(desired, services)}
    asked = [
        service
        for service in desired.topology.services
        if service.name in services and service.name not in by_engine and service.kind in _LOADED
    ]
    files = {file.path: file for file in desired.files}
    with ThreadPoolExecutor(max(len(asked), 1)) as pool:
        found = pool.map(lambda service: _settled(desired, files, service, wait), asked)
        by_service = {m.service: m for m in found if m is not None}
    merged = {**by_service, **by_engine}
    return tuple(merged[name] for name in services if name in merged)


def _settled(
    desired: Desired, files: Mapping[str, RenderedFile], service: Service, wait: float
) -> Mismatch | None:
    look, refused = _LOADED[service.kind]
    url = desired.topology.address(service, Viewpoint.HOST).url()
    prefix = CONFIG if desired.topology.engine == "compose" else ""
    if service.kind == "nginx":
        wait = min(wait, _SILENT_REFUSAL)
    started = time.monotonic()
    while True:
        answered = True
        try:
            what = look(url, prefix, files)
            if not what:
                return None
            passed = time.monotonic() - started
            if passed > min(_REFUSED_AFTER, wait) and refused(url):
                return Mismatch(service.name, f"it refused to reload and runs the old configuration: {what}")
        except (Unreachable, ApiError) as error:
            what, answered = f"what it runs can't be read back: {error.message}", False
        if time.monotonic() - started >= wait:
            said = f"it runs another configuration than was applied: {what}" if answered else what
            return Mismatch(service.name, said, answered=answered)
        time.sleep(_PAUSE)


def _prometheus(url: str, prefix: str, files: Mapping[str, RenderedFile]) -> str:
    server = Prometheus(url, timeout=_TIMEOUT)
    ours = load_yaml(files[prefix + PROMETHEUS_YML].content)
    found = lacking(ours, load_yaml(server.config()))
    if found:
        return found
    folder = f"{prefix}prometheus/"
    groups: dict[str, Any] = {}
    for path in ours.get("rule_files") or []:
        # A template may name rule files of its own, which are not ours to know.
        if (file := files.get(f"{folder}{path}")) is None:
            return ""
        groups.update({group["name"]: group for group in load_yaml(file.content)["groups"]})
    return _rules(server, groups)


def _rules(server: Prometheus, groups: Mapping[str, Any]) -> str:
    loaded = server.rules()
    if sorted(groups) != sorted(loaded):
        odd = sorted(set(groups) ^ set(loaded))
        return f"its rule groups differ: {', '.join(odd)}"
    for name, group in groups.items():
        if len(group["rules"]) != len(loaded[name]):
            return f"group {name} has {len(loaded[name])} rules instead of {len(group['rules'])}"
        for ours, theirs in zip(group["rules"], loaded[name], strict=True):
            if what := _rule(server, ours, theirs):
                return what
    return ""


def _rule(server: Prometheus, ours: Mapping[str, Any], theirs: Rule) -> str:
    name = ours.get("alert") or ours["record"]
    if name != theirs.name:
        return f"there is {theirs.name} in place of {name}"
    if duration(str(ours.get("for", "0s"))) != theirs.seconds:
        return f"{name} waits {theirs.seconds:g} s instead of {ours.get('for', '0s')}"
    for key, there in (("labels", theirs.labels), ("annotations", theirs.annotations)):
        if what := lacking(ours.get(key) or {}, there, key):
            return f"{name}: {what}"
    wanted, runs = _BLANK.sub("", str(ours["expr"])), _BLANK.sub("", theirs.query)
    if wanted != runs and server.formatted(str(ours["expr"])) != server.formatted(theirs.query):
        return f"{name} asks {' '.join(theirs.query.split())}"
    return ""


def _alertmanager(url: str, prefix: str, files: Mapping[str, RenderedFile]) -> str:
    file = files[prefix + ALERTMANAGER_YML]
    loaded = Alertmanager(url, timeout=_TIMEOUT).status().config
    what = lacking(load_yaml(file.content), load_yaml(loaded))
    # With receivers passed through, a value may be a secret.
    return what.partition(" is ")[0] + " differs" if what and file.secret else what


def _nginx(url: str, prefix: str, files: Mapping[str, RenderedFile]) -> str:
    wanted = config_digest(files[prefix + NGINX_CONF])
    if wanted is None:
        return ""  # a template of the user's own without the location: there is nothing to ask
    answer = fetch(f"{url}{CONFIG_LOCATION}", timeout=_TIMEOUT)
    runs = answer.text.strip() if answer.ok else f"HTTP {answer.status}"
    return "" if runs == wanted else f"{CONFIG_LOCATION} says {runs[:16]} instead of {wanted[:16]}"


def _prometheus_refused(url: str) -> bool:
    return Prometheus(url, timeout=_TIMEOUT).reloaded() is False


def _alertmanager_refused(url: str) -> bool:
    return Alertmanager(url, timeout=_TIMEOUT).reloaded() is False


def _says_nothing(_: str) -> bool:
    return False


_Look = Callable[[str, str, Mapping[str, RenderedFile]], str]
_LOADED: Mapping[str, tuple[_Look, Callable[[str], bool]]] = {
    "prometheus": (_prometheus, _prometheus_refused),
    "alertmanager": (_alertmanager, _alertmanager_refused),
    "nginx": (_nginx, _says_nothing),
}
