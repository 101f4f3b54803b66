"""What a running Prometheus has loaded: its configuration and its rules."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from techsapo_ops.adapters.prometheus import Prometheus, Rule
from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.messages import msg
from techsapo_ops.services.loaded_configuration import TIMEOUT, Loaded, Server, lacking
from techsapo_ops.services.prometheus.scrape import yml_in
from techsapo_ops.spec.models.base import seconds as duration
from techsapo_ops.stack.desired import RenderedFile

_BLANK = re.compile(r"\s+")


def _differs(server: Server, prefix: str, files: Mapping[str, RenderedFile]) -> str:
    asked = _client(server)
    path = prefix + yml_in(server.folder)
    ours = read_yaml(files[path].content)
    found = lacking(ours, read_yaml(asked.config()))
    if found:
        return found
    folder = path.rpartition("/")[0]
    groups: dict[str, Any] = {}
    for rules in ours.get("rule_files") or []:
        # A template may name rule files of its own, which are not ours to know.
        if (file := files.get(os.path.normpath(f"{folder}/{rules}"))) is None:
            return ""
        groups.update({group["name"]: group for group in read_yaml(file.content)["groups"]})
    return _rules(asked, groups)


def _rules(server: Prometheus, groups: Mapping[str, Any]) -> str:
    loaded = server.rules()
    if sorted(groups) != sorted(loaded):
        odd = sorted(set(groups) ^ set(loaded))
        return msg("its rule groups differ: {groups}", groups=", ".join(odd))
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
        return msg("there is {theirs} in place of {ours}", theirs=theirs.name, ours=name)
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
        return msg("{name} asks {query}", name=name, query=" ".join(theirs.query.split()))
    return ""


def _client(server: Server) -> Prometheus:
    return Prometheus(server.url, timeout=TIMEOUT, login=server.login)


LOADED = Loaded(_differs, lambda server: _client(server).reloaded())
