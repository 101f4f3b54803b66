"""What we know of commands: which are dangerous and how, and which only read, with which options."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import yaml

from techsapo_ops.messages import msg


class Effect(StrEnum):
    """What a command does to the host, the worst first."""

    DESTRUCTIVE = "destructive"
    RUNS_REMOTE_CODE = "runs_remote_code"
    WEAKENS_SECURITY = "weakens_security"
    STOPS_A_SERVICE = "stops_a_service"
    UNKNOWN = "unknown"
    READS_ONLY = "reads_only"


@dataclass(frozen=True, slots=True)
class Danger:
    """A kind of dangerous command: how it is found in prose, and by which arguments of which command."""

    kind: str
    effects: tuple[Effect, ...]
    why: Mapping[Literal["ja", "en"], str]
    words: frozenset[str] = frozenset()
    pattern: re.Pattern[str] | None = None
    commands: Mapping[str, re.Pattern[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Allowed:
    """How a command may be called and still only reads. What is not said here is not known to."""

    options: Mapping[str, str | None] = field(default_factory=dict)
    """By name: None for a flag, else the kind of its value (empty: any)."""
    operands: tuple[str, ...] = ()
    """The kind of each operand; one that ends in * repeats."""
    subcommands: Mapping[str, Allowed] = field(default_factory=dict)
    bare: bool = False
    """It may be called without any of its subcommands."""
    opaque: bool = False
    """No option of it changes anything, so that one that is not known until it runs may stand there."""
    numbers: bool = False
    """-20 is an option."""
    single: bool = False
    """Long options begin with one dash, so that -ab is not -a -b."""
    least: int = 0
    """So many operands there must be."""
    requires: frozenset[str] = frozenset()
    """One of these options must be there."""

    def under(self, parent: Allowed) -> Allowed:
        """This subcommand with the options of the command above it."""
        return Allowed(
            {**parent.options, **self.options},
            self.operands,
            self.subcommands,
            self.bare,
            self.opaque,
            self.numbers or parent.numbers,
            parent.single or self.single,
            self.least,
            self.requires,
        )

    def subcommand(self, name: str) -> Allowed | None:
        """What is allowed below `name`, which may be written with a pattern such as list-*."""
        exact = self.subcommands.get(name)
        if exact is not None:
            return exact
        return next((a for n, a in self.subcommands.items() if "*" in n and fnmatchcase(name, n)), None)


@dataclass(frozen=True, slots=True)
class Reading:
    """The commands that only read, and what else keeps a line from changing anything."""

    commands: Mapping[str, Allowed]
    assignments: frozenset[str]
    """Variables that may be set for one command."""
    keystore: frozenset[str]
    """Commands of a key-value server; two words are joined by a colon."""
    ssh_options: frozenset[str]
    wrappers: frozenset[str]
    """Commands that run others."""
    fetchers: frozenset[str]
    """Commands that bring what is on another host."""
    sql_clients: frozenset[str]
    """Commands that take SQL from their input."""
    sql_dialects: frozenset[str]
    sql_nodes: frozenset[str]
    sql_functions: frozenset[str]

    def may_set(self, variable: str) -> bool:
        """Whether setting `variable` lets no command do more than it says."""
        return any(fnmatchcase(variable, each) for each in self.assignments)


@cache
def dangers() -> tuple[Danger, ...]:
    """Every kind of dangerous command."""
    return tuple(
        Danger(
            kind=r["kind"],
            effects=tuple(Effect(e) for e in r.get("effects", ["destructive"])),
            why={"ja": r["ja"], "en": r["en"]},
            words=frozenset(r.get("words", ())),
            pattern=re.compile(r["pattern"], re.IGNORECASE) if "pattern" in r else None,
            commands={
                name: re.compile(pattern)
                for names, pattern in r.get("commands", {}).items()
                for name in names.split()
            },
        )
        for r in _read("dangers.yaml")
    )


@cache
def danger(kind: str) -> Danger:
    """The dangerous command of that kind."""
    return next(d for d in dangers() if d.kind == kind)


@cache
def dangers_of(command: str) -> tuple[tuple[Danger, re.Pattern[str]], ...]:
    """What makes `command` dangerous: each kind, with the pattern that its arguments then match."""
    return tuple((d, d.commands[command]) for d in dangers() if command in d.commands)


@cache
def reading() -> Reading:
    """The commands that only read."""
    raw = _read("reading.yaml")
    return Reading(
        commands=_table(raw["commands"]),
        assignments=frozenset(raw["assignments"].split()),
        keystore=frozenset(raw["keystore"].split()),
        ssh_options=frozenset(raw["ssh_options"].split()),
        wrappers=frozenset(raw["wrappers"].split()),
        fetchers=frozenset(raw["fetchers"].split()),
        sql_clients=frozenset(raw["sql_clients"].split()),
        sql_dialects=frozenset(raw["sql_dialects"].split()),
        sql_nodes=frozenset(raw["sql_nodes"].split()),
        sql_functions=frozenset(raw["sql_functions"].split()),
    )


_KEYS = {"options", "operands", "subcommands", "bare", "opaque", "numbers", "single", "least", "requires"}


def _table(raw: Mapping[str, Any]) -> dict[str, Allowed]:
    return {
        name: made for names, how in raw.items() for made in [_allowed(how or {})] for name in names.split()
    }


def _allowed(raw: Mapping[str, Any]) -> Allowed:
    if raw.keys() - _KEYS:
        raise ValueError(msg("reading.yaml: unknown {keys}", keys=sorted(raw.keys() - _KEYS)))
    options: dict[str, str | None] = {}
    for each in raw.get("options", "").split():
        name, takes, value = each.partition("=")
        options[name] = value if takes else None
    return Allowed(
        options=options,
        operands=tuple(raw.get("operands", "").split()),
        subcommands=_table(raw.get("subcommands", {})),
        bare=raw.get("bare", False),
        opaque=raw.get("opaque", False),
        numbers=raw.get("numbers", False),
        single=raw.get("single", False),
        least=raw.get("least", 0),
        requires=frozenset(raw.get("requires", "").split()),
    )


def _read(name: str) -> Any:
    text = (files("techsapo_ops.catalogue") / "commands" / name).read_text(encoding="utf-8")
    return yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe loaders
