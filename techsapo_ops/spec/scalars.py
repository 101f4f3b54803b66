"""What a plain YAML scalar means: only what YAML 1.1 and 1.2 read alike is taken.

YAML 1.1 (PyYAML, Ruby, old Ansible) and YAML 1.2 (Go's yaml.v3, editors, JavaScript) disagree on scalars
such as `on`, `010`, `1e9` or `12:30`. Guessing either way surprises somebody, so those are refused with what
to write. PyYAML says how 1.1 reads one; the core schema in chapter 10.3 of YAML 1.2.2, how 1.2 does.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import yaml
from yaml.resolver import Resolver

from techsapo_ops.messages import msg

_SWITCHES = {"on": "true", "yes": "true", "y": "true", "off": "false", "no": "false", "n": "false"}
_CORE = {
    "null": re.compile(r"|~|null|Null|NULL"),
    "bool": re.compile(r"true|True|TRUE|false|False|FALSE"),
    "int": re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", re.ASCII),
    "float": re.compile(
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", re.ASCII
    ),
}
_LEADING_ZERO = re.compile(r"[-+]?0[0-9]+", re.ASCII)
"""Octal in 1.1, decimal in 1.2."""
_YAML_1_1: Any = Resolver()  # PyYAML has no types
MAX_DIGITS = 400


@dataclass(frozen=True, slots=True)
class Trap:
    """A scalar that YAML readers disagree on: how they read it, and what to write."""

    message: str
    hint: str


def plain(text: str) -> object:
    """The value of an unquoted scalar: None, bool, int, float, str, or a Trap."""
    meaning = _SWITCHES.get(text.lower()) if text in {text.lower(), text.upper(), text.capitalize()} else None
    if meaning is not None:
        return Trap(
            msg("some YAML readers take {text} for {meaning}, others for text", text=text, meaning=meaning),
            msg('write {meaning}, or "{text}" for the text', meaning=meaning, text=text),
        )
    kind = next((kind for kind, form in _CORE.items() if form.fullmatch(text)), "str")
    if kind in {"int", "float"} and len(text) > MAX_DIGITS:
        return Trap(msg("a number of {count} digits", count=len(text)), msg("put it in quotes if it is text"))
    old = _YAML_1_1.resolve(yaml.ScalarNode, text, (True, False)).rpartition(":")[2]
    if old != kind or _LEADING_ZERO.fullmatch(text):
        return Trap(
            msg("YAML readers disagree on whether {text} is a number, a date or text", text=text),
            msg('write "{text}" for the text, or the number in plain decimal digits', text=text),
        )
    match kind:
        case "null":
            return None
        case "bool":
            return text.lower() == "true"
        case "int":
            return int(text, 16 if text.startswith("0x") else 10)
        case "float":
            return float(re.sub(r"\.(inf|nan)", r"\1", text.lower()))
    return text
