"""What a plain YAML scalar means: only what YAML 1.1 and 1.2 read alike is taken.

YAML 1.1 (PyYAML, Ruby, old Ansible) and YAML 1.2 (Go's yaml.v3, editors, JavaScript) disagree on scalars
such as `on`, `010`, `1e9` or `12:30`. Guessing either way surprises somebody, so those are refused with what
to write. Sources: yaml.org/type (1.1), the core schema in chapter 10.3 of YAML 1.2.2.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from techsapo_ops.messages import msg

_WORDS: dict[str, object] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}
_SWITCHES = {"on": "true", "yes": "true", "y": "true", "off": "false", "no": "false", "n": "false"}
_DECIMAL = re.compile(r"[-+]?(?:0|[1-9][0-9]*)", re.ASCII)
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]+", re.ASCII)
_FLOAT = re.compile(r"(?:[-+]?[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+][0-9]+)?", re.ASCII)
_DISPUTED = re.compile(
    r"""=
    | [-+]?0[0-9]+ | [-+]?0(?:o[0-7]+|b[01_]+) | [-+]?0x[0-9a-fA-F_]+   # octal, binary, signed hexadecimal
    | [-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?              # exponents without a point or a sign
    | [-+]?(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9_]+)(?:[eE][-+]?[0-9]+)?   # underscores
    | [-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)? | [0-9]+(?::[0-9]+)+  # base 60
    | [0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:(?:[Tt]|[ \t]+)[0-9]{1,2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]*)?
      (?:[ \t]*(?:Z|[-+][0-9]{1,2}(?::?[0-9]{2})?))?)?                   # dates
    """,
    re.ASCII | re.VERBOSE,
)
MAX_DIGITS = 400


@dataclass(frozen=True, slots=True)
class Trap:
    """A scalar that YAML readers disagree on: how they read it, and what to write."""

    message: str
    hint: str


def plain(text: str) -> object:
    """The value of an unquoted scalar: None, bool, int, float, str, or a Trap."""
    if text in _WORDS:
        return _WORDS[text]
    meaning = _SWITCHES.get(text.lower()) if text in {text.lower(), text.upper(), text.capitalize()} else None
    if meaning is not None:
        return Trap(
            msg("some YAML readers take {text} for {meaning}, others for text", text=text, meaning=meaning),
            msg('write {meaning}, or "{text}" for the text', meaning=meaning, text=text),
        )
    if text[0] not in "-+.=0123456789":
        return text
    if len(text) > MAX_DIGITS:
        if not text.lstrip("+-").replace(".", "", 1).isdigit():
            return text
        return Trap(msg("a number of {count} digits", count=len(text)), msg("put it in quotes if it is text"))
    if _DECIMAL.fullmatch(text):
        return int(text)
    if _HEXADECIMAL.fullmatch(text):
        return int(text, 16)
    if _FLOAT.fullmatch(text):
        return float(text)
    if _DISPUTED.fullmatch(text):
        return Trap(
            msg("YAML readers disagree on whether {text} is a number, a date or text", text=text),
            msg('write "{text}" for the text, or the number in plain decimal digits', text=text),
        )
    return text
