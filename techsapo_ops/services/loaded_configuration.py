"""Whether a server has loaded a configuration, judged by what it writes back.

Prometheus and Alertmanager fill in their defaults, write durations their way, sort matchers, make paths
absolute and mask secrets. None of that is a difference; what we wrote and they lack is.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from techsapo_ops.adapters.http import BasicLogin
from techsapo_ops.adapters.monitoring_server import LastReload
from techsapo_ops.messages import msg
from techsapo_ops.services.registry import kind_of
from techsapo_ops.spec.models.base import seconds
from techsapo_ops.stack.address import Viewpoint
from techsapo_ops.stack.desired import RenderedFile
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.topology import Topology

TIMEOUT = 5.0
"""Seconds for one question to a server."""
_FREE_MAPS = frozenset({"external_labels", "labels", "annotations", "params"})
"""Maps of the user's own keys: servers add none to them, so one too many is one that was removed since."""
_DURATION = re.compile(r"(\d+(ms|[smhdwy]))+")
_MASKED = "<secret>"
_SHOWN = 80


@dataclass(frozen=True, slots=True)
class Server:
    """Where this host asks a server, and the login that it may ask for."""

    url: str
    login: BasicLogin | None = None
    folder: str = ""
    """Where the rendered files are that it alone reads, of several; see stack.service."""


def server_of(topology: Topology, service: Service) -> Server:
    """Where `service` is asked what it has loaded."""
    url = topology.address(service, Viewpoint.HOST).url()
    return Server(url, login_at(topology, service.kind), service.machine.own_folder)


def login_at(topology: Topology, kind: str) -> BasicLogin | None:
    """What servers of `kind` are asked with; None where they let anybody in."""
    login = kind_of(kind).login(topology)
    if login is None or login.user is None or login.password_file is None:
        return None
    return BasicLogin(login.user, login.password_file)


@dataclass(frozen=True, slots=True)
class Loaded:
    """How one kind of server is asked what it has loaded.

    `differs(server, prefix, files)` says in words what of the rendered `files`, by path below `prefix`, the
    `server` has not loaded; "" when it has all of it. `last_reload(server)` is what it tells itself of its
    last reload, None where it tells nothing. Both raise Unreachable or ApiError where that can't be asked.
    """

    differs: Callable[[Server, str, Mapping[str, RenderedFile]], str]
    last_reload: Callable[[Server], LastReload | None] = lambda _: None
    patience: float | None = None
    """Seconds after which nothing will change any more; None: as long as the caller has."""


def lacking(ours: Any, theirs: Any, path: str = "") -> str:
    """The first thing of `ours` that `theirs` lacks, in words; "" when it has all of it."""
    if isinstance(ours, Mapping):
        return _mapping(ours, theirs, path)
    if isinstance(ours, Sequence) and not isinstance(ours, str):
        return _sequence(ours, theirs, path)
    return (
        ""
        if _same(ours, theirs)
        else msg("{path} is {theirs} instead of {ours}", path=path, theirs=_shown(theirs), ours=_shown(ours))
    )


def _mapping(ours: Mapping[str, Any], theirs: Any, path: str) -> str:
    there = theirs if isinstance(theirs, Mapping) else {}
    if path.rpartition(".")[2] in _FREE_MAPS:
        for key in there:
            if key not in ours:
                return msg("{path}.{key} is still loaded", path=path, key=key)
    for key, value in ours.items():
        place = f"{path}.{key}" if path else str(key)
        if key not in there:
            # What equals a default of Go's is left out: empty text, 0, false.
            if value in (None, "", 0, [], {}):
                continue
            return msg("{place} is missing", place=place)
        difference = lacking(value, there[key], place)
        if difference:
            return difference
    return ""


def _sequence(ours: Sequence[Any], theirs: Any, path: str) -> str:
    there = theirs if isinstance(theirs, Sequence) and not isinstance(theirs, str) else []
    if len(ours) != len(there):
        return msg(
            "{path} has {there} entries instead of {ours}", path=path, there=len(there), ours=len(ours)
        )
    # The order of plain values means nothing to either server, and Alertmanager sorts matchers.
    plain = not any(isinstance(value, Mapping | list) for value in ours)
    if plain and Counter(map(_plain, ours)) == Counter(map(_plain, there)):
        return ""
    for number, (mine, other) in enumerate(zip(ours, there, strict=True)):
        difference = lacking(mine, other, f"{path}[{number}]")
        if difference:
            return difference
    return ""


def _same(ours: Any, theirs: Any) -> bool:
    if ours == theirs or theirs == _MASKED:
        return True
    if not ours and not theirs:
        return True
    if isinstance(ours, str) and isinstance(theirs, str):
        if ours.startswith("/") != theirs.startswith("/") and theirs.endswith(f"/{ours}"):
            return True
        return _plain(ours) == _plain(theirs)
    return str(ours) == str(theirs)


def _plain(value: Any) -> str:
    text = str(value)
    return f"{seconds(text):g} seconds" if _is_duration(text) else text


def _is_duration(text: str) -> bool:
    if _DURATION.fullmatch(text) is None:
        return False
    try:
        seconds(text)
    except ValueError:
        return False
    return True


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
