"""The checks that may be proposed, loaded from checks.yaml, and what may stand in their slots.

A value that comes from a model is matched whole against the type of its slot, which lets no blank, no sign of
a shell and no leading dash through. Names of hosts and services are those that the caller knows: a look-up of
any other name would send something elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from techsapo_ops.catalogue.topics import plain, topics_in
from techsapo_ops.catalogue.yaml_text import packaged_table

_SLOT = re.compile(r"\{([a-z]+)\}")
_FOLDERS = "var|srv|opt|home|tmp|data|mnt|etc|run|usr"
_TYPES: Mapping[str, re.Pattern[str]] = {
    "unit": re.compile(r"[A-Za-z0-9][A-Za-z0-9:_.@-]{0,127}", re.ASCII),
    "service": re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}", re.ASCII),
    "host": re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|[0-9a-f:]{2,39}", re.ASCII),
    "port": re.compile(r"[1-9][0-9]{0,4}", re.ASCII),
    "minutes": re.compile(r"[1-9][0-9]{0,3}", re.ASCII),
    "path": re.compile(rf"/(?:{_FOLDERS})(?:/[A-Za-z0-9_][A-Za-z0-9_.@+-]{{0,99}}){{0,12}}/?", re.ASCII),
    "log": re.compile(r"/var/log(?:/[A-Za-z0-9_][A-Za-z0-9_.@+-]{0,99}){1,6}", re.ASCII),
    "interface": re.compile(r"[a-z][A-Za-z0-9_.-]{0,14}", re.ASCII),
    "container": re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}", re.ASCII),
    "database": re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}", re.ASCII),
    "alert": re.compile(r"[A-Za-z][A-Za-z0-9_]{0,99}", re.ASCII),
}
"""What each slot takes. A path has no `..` and no hidden file, a log lies below /var/log."""
FREE = frozenset(_TYPES) - {"service", "host", "port", "minutes"}
"""Slots that take any name of their type."""
_HIGHEST_PORT = 65_535
MOST_CHECKS = 3
"""Checks beside an answer: more of them are no first step."""


@dataclass(frozen=True, slots=True)
class Known:
    """The names that a slot may take: those of the incident and the stack, never one out of a text."""

    services: frozenset[str] = frozenset()
    hosts: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Check:
    """One entry of checks.yaml; the file's head explains each key."""

    name: str
    argv: tuple[str, ...]
    tells: Mapping[Literal["ja", "en"], str]
    reads: Mapping[Literal["ja", "en"], str]
    signs: Mapping[str, tuple[re.Pattern[str], re.Pattern[str]]]

    @property
    def slots(self) -> tuple[str, ...]:
        """The slots of its command, each once."""
        return tuple(dict.fromkeys(slot for word in self.argv for slot in _SLOT.findall(word)))

    def rules_out(self, topics: frozenset[str], output: str) -> bool:
        """Whether a `plain` output shows that a cause of these topics, and no others, is not right."""
        if not topics or not topics <= self.signs.keys():
            return False
        signs = [self.signs[topic] for topic in topics]
        return all(wrong.search(output) and not right.search(output) for right, wrong in signs)

    def filled(self, values: Mapping[str, str], known: Known) -> tuple[str, ...] | None:
        """Its command with `values` in its slots; None where one is missing, too many, or not of its type."""
        if set(values) != set(self.slots) or not all(_fits(s, v, known) for s, v in values.items()):
            return None
        return tuple(_SLOT.sub(lambda match: values[match[1]], word) for word in self.argv)


@cache
def checks() -> Mapping[str, Check]:
    """Every check by name, in the order of checks.yaml."""
    return packaged_table("checks.yaml", _check)


def checks_about(text: str, most: int = MOST_CHECKS) -> tuple[Check, ...]:
    """Those that tell whether a cause is right which `text` names, the one for most of its topics first.

    Only those without a slot: nothing of `text` gets into a command.
    """
    named = topics_in(plain(text))
    fitting = [each for each in checks().values() if named & each.signs.keys() and not each.slots]
    return tuple(sorted(fitting, key=lambda each: -len(named & each.signs.keys()))[:most])


def _check(name: str, argv: tuple[str, ...], tells: Any, reads: Any, signs: Any = None) -> Check:
    patterns = {
        topic: (re.compile(right), re.compile(wrong)) for topic, (right, wrong) in (signs or {}).items()
    }
    return Check(name, argv, tells, reads, patterns)


def _fits(slot: str, value: str, known: Known) -> bool:
    if _TYPES[slot].fullmatch(value) is None:
        return False
    if slot == "port":
        return int(value) <= _HIGHEST_PORT
    names = {"service": known.services, "host": known.hosts}.get(slot)
    return names is None or value in names
