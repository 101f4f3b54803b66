"""What to suggest to whoever typed a command or an option that there is not.

By meaning first: who types `status` wants to look, and `restart` is only spelt alike. By likeness nothing is
suggested that changes a stack: a slip of the finger must not be answered by the name of a command that
stops it.
"""

from __future__ import annotations

import re
from ast import literal_eval
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from itertools import takewhile
from typing import Any

MEANT: Mapping[str, tuple[str, ...]] = {
    "status": ("status", "ps", "health"),
    "state": ("status", "ps", "health"),
    "list": ("list", "ps", ""),
    "ls": ("list", "ps", ""),
    "services": ("ps",),
    "start": ("start", "run", "up"),
    "run": ("run", "up"),
    "apply": ("up", "plan"),
    "deploy": ("up", "plan"),
    "upgrade": ("plan", "up"),
    "update": ("plan", "up"),
    "stop": ("stop", "down"),
    "kill": ("stop", "down"),
    "shutdown": ("down",),
    "destroy": ("down",),
    "undo": ("rollback",),
    "revert": ("rollback",),
    "log": ("log", "logs"),
    "logs": ("log", "logs"),
    "tail": ("logs",),
    "journal": ("logs",),
    "check": ("verify", "status", "validate", "health"),
    "lint": ("validate",),
    "test": ("verify", "validate", "health"),
    "ping": ("health",),
    "diagnose": ("doctor",),
    "top": ("monit",),
    "stats": ("monit",),
    "monitor": ("monit",),
    "watch": ("monit",),
    "dashboard": ("open", "monit"),
    "browse": ("open",),
    "shell": ("exec",),
    "ssh": ("exec",),
    "sh": ("exec",),
    "fields": ("explain",),
    "describe": ("show", "explain"),
    "get": ("show", "list"),
    "cat": ("show",),
    "view": ("show", "list", ""),
    "show": ("show", "list", "status", "config", ""),
    "info": ("show", "status", "ps"),
    "doc": ("explain", "runbook"),
    "docs": ("explain", "runbook"),
    "key": ("keys",),
    "token": ("keys",),
    "tokens": ("keys",),
    "password": ("secrets",),
    "passwords": ("secrets",),
    "secret": ("secrets",),
    "cert": ("certs",),
    "certificate": ("certs",),
    "certificates": ("certs",),
    "ssl": ("certs",),
    "tls": ("certs",),
    "alert": ("alerts",),
    "alarms": ("alerts",),
    "silence": ("silence", "alerts"),
    "job": ("jobs",),
    "backups": ("backup",),
    "snapshot": ("backup",),
    "report": ("status",),
    "budget": ("costs",),
    "cost": ("costs",),
    "usage": ("costs", "monit"),
    "chat": ("ask",),
    "query": ("ask",),
    "prompt": ("ask",),
    "model": ("providers",),
    "models": ("providers",),
    "provider": ("providers",),
    "new": ("create", "init"),
    "add": ("create", "install", "add"),
    "make": ("create",),
    "delete": ("revoke", "remove", "prune"),
    "rm": ("revoke", "remove", "prune"),
    "remove": ("revoke", "prune"),
    "uninstall": ("remove", "down"),
    "clean": ("prune",),
    "enable": ("on", "install"),
    "disable": ("off", "remove"),
    "runs": ("history",),
    "trigger": ("run",),
    "versions": ("history",),
    "ledger": ("history",),
    "setup": ("init",),
}
"""Words that people type, and the commands that do that, the likeliest first; "" is the group by itself."""

LOOKS = frozenset(
    {
        *(
            "alerts",
            "audit",
            "certs",
            "config",
            "costs",
            "cron",
            "diff",
            "doctor",
            "drift",
            "drill",
            "explain",
        ),
        *("health", "history", "jobs", "keys", "logs", "maintenance", "monit", "plan", "providers", "ps"),
        *("runbook", "schema", "secrets", "status", "templates", "trust", "validate"),
        *("alerts list", "alerts show", "audit show", "audit verify", "backup list", "backup show"),
        *("backup verify", "certs status", "certs trust", "config show", "cron list", "cron status"),
        *("drill list", "drill show", "jobs history", "jobs log", "keys list", "maintenance status"),
        *("providers list", "secrets list", "secrets show", "templates diff", "templates list", "trust list"),
    }
)
"""Commands, and groups of them, that change nothing by themselves."""

HARMLESS = frozenset(
    {
        *(
            "--json",
            "--quiet",
            "--verbose",
            "--help",
            "--version",
            "--dry-run",
            "--follow",
            "--once",
            "--deep",
        ),
        *("--latest", "--offsite", "--diff", "--watch", "--no-color", "--rows"),
    }
)
"""Options without a value that change nothing; one with a value is of no use by its name alone."""

OPTIONS: Mapping[str, tuple[str, ...]] = {
    "--config": ("--file",),
    "--spec": ("--file",),
    "--env": ("--environment",),
    "--tail": ("--lines",),
    "--number": ("--lines",),
    "--output": ("--output", "--json"),
    "--format": ("--json",),
    "--check": ("--dry-run",),
    "--silent": ("--quiet",),
    "--debug": ("--verbose",),
    "--language": ("--lang",),
    "--locale": ("--lang",),
    "--no-wait": ("--wait",),
}
"""The same of options."""

OF_COMMANDS: Mapping[str, str] = {
    **dict.fromkeys(("-f", "-F", "--file"), "techsapo validate --file FILE"),
    **dict.fromkeys(("-e", "--environment"), "techsapo validate --environment NAME"),
    **dict.fromkeys(("-q", "--quiet"), "techsapo validate --quiet"),
    **dict.fromkeys(("-v", "--verbose"), "techsapo version --verbose"),
    "--json": "techsapo ps --json",
    "--engine": "techsapo plan --engine NAME",
}
"""Options that many commands have, which people write before the command's name, and how one has them."""

_UNEXPECTED = re.compile(r"Got unexpected extra argument\(s\) \((?P<words>.*)\)", re.DOTALL)
_UNKNOWN = re.compile(r"No such command (?P<shown>(?P<quote>['\"]).*(?P=quote))\.", re.DOTALL)
_MOST = 3


def suggested(told: str, group: str, known: Iterable[str], *, itself: bool) -> str:
    """`told` by Typer, of a command that `group` (empty for the root) does not have, with what may be meant.

    `known` are the group's commands; `itself` says whether the group does something without one.
    """
    found = _UNKNOWN.match(told)
    if found is None:
        return told
    typed = literal_eval(found["shown"])
    meant = commands(typed, group, known, itself=itself)
    if typed.lower() == "help":
        meant = [" ".join(filter(None, ("techsapo", group, "--help")))]
    names = ", ".join(repr(name) for name in meant)
    least = f"No such command {found['shown']}"
    return f"{least}. Did you mean {names}?" if names else f"{least}."


def commands(typed: str, group: str, known: Iterable[str], *, itself: bool) -> list[str]:
    """The commands that may have been meant by `typed`, the likeliest first."""
    there = list(known)
    word = typed.lower()
    meant = [
        name or f"techsapo {group}"
        for name in MEANT.get(word, ())
        if name in there or (not name and itself and group in LOOKS)
    ]
    if meant:
        return meant[:_MOST]
    return _harmless(get_close_matches(word, there, n=_MOST), lambda name: f"{group} {name}".strip() in LOOKS)


def options(typed: str, parameters: Iterable[Any], alike: Iterable[str]) -> list[str]:
    """The options that may have been meant by `typed`, of `parameters` as Typer has them.

    `alike` are those that Typer finds spelt alike.
    """
    shown = [p for p in parameters if not getattr(p, "hidden", False)]
    there = {name: p for p in shown for name in p.opts}
    meant = [name for name in OPTIONS.get(typed.lower(), ()) if name in there]
    if meant:
        return meant
    return _harmless(
        (name for name in alike if name in there),
        lambda name: name in HARMLESS or not getattr(there[name], "is_flag", False),
    )


def behind_a_command(told: str, typed: str) -> str:
    """`told` by Typer, of an option `typed` before any command, with where it belongs; else empty."""
    example = OF_COMMANDS.get(typed)
    return f"{told}; it belongs behind a command, e.g. `{example}`" if example else ""


def unexpected(told: str, parameters: Iterable[Any]) -> str:
    """`told` by Typer, of a command with `parameters` that was given more words, with how they are given."""
    found = _UNEXPECTED.fullmatch(told)
    if found is None:
        return told
    taken = list(parameters)
    names = {parameter.name for parameter in taken}
    if "question" in names:
        return f"{told}; put the question in quotes"
    options = {option for parameter in taken for option in parameter.opts}
    if "--file" in options and found["words"].endswith((".yaml", ".yml")):
        return f"{told}; name a spec with --file"
    return told


def chosen_in_the_spec(told: str) -> str:
    """`told` by Typer of a value; of an engine that needs more than a word, where it is chosen."""
    if "'swarm' is not one of " not in told:
        return told
    return "swarm is chosen in the spec, by `engine` and `hosts`: see docs/three-machines.md"


def _harmless(alike: Iterable[str], is_harmless: Callable[[str], bool]) -> list[str]:
    """Of names that are spelt alike, the closest first, those before one that changes things.

    Where that is the closest it was meant, and no other would be right.
    """
    return list(takewhile(is_harmless, alike))
