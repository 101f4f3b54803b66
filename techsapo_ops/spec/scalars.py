"""What a plain YAML scalar means: only what YAML 1.1 and 1.2 read alike is taken.

YAML 1.1 (PyYAML, Ruby, old Ansible) and YAML 1.2 (Go's yaml.v3, editors, JavaScript) disagree on scalars
such as `on`, `010`, `1e9` or `12:30`. Guessing either way surprises somebody, so those are refused with the
two spellings that are safe. Sources: yaml.org/type (1.1), the core schema in chapter 10.3 of YAML 1.2.2.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from techsapo_ops.messages import msg

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_SWITCHES = {
    word: meaning
    for meaning, words in {"true": ("on", "yes", "y"), "false": ("off", "no", "n")}.items()
    for low in words
    for word in (low, low.capitalize(), low.upper())
}
_DECIMAL = re.compile(r"[-+]?(?:0|[1-9][0-9]*)", re.ASCII)
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]+", re.ASCII)
_FLOAT = re.compile(r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+][0-9]+)?", re.ASCII)
_SIGNED_POINT = re.compile(r"[-+]\.[0-9]+(?:[eE][-+][0-9]+)?", re.ASCII)
_SPECIAL = {
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}
_LEADING_ZERO = re.compile(r"[-+]?0[0-9]+", re.ASCII)
_OCTAL_OR_BINARY = re.compile(r"[-+]?0(?:o[0-7]+|b[01_]+)", re.ASCII)
_SIGNED_HEXADECIMAL = re.compile(r"[-+]?0x[0-9a-fA-F_]+", re.ASCII)
_EXPONENT = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)[eE][-+]?[0-9]+", re.ASCII)
_UNDERSCORES = re.compile(r"[-+]?[0-9][0-9_]*(?:\.[0-9_]*)?(?:[eE][-+]?[0-9]+)?", re.ASCII)
_SEXAGESIMAL = re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?|[0-9]+(?::[0-9]+)+", re.ASCII)
_DATE = re.compile(
    r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}"
    r"(?:(?:[Tt]|[ \t]+)[0-9]{1,2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]*)?"
    r"(?:[ \t]*(?:Z|[-+][0-9]{1,2}(?::?[0-9]{2})?))?)?",
    re.ASCII,
)
MAX_DIGITS = 400


@dataclass(frozen=True, slots=True)
class Trap:
    """A scalar that YAML readers disagree on: how they read it, and what to write."""

    message: str
    hint: str


def plain(text: str) -> object:
    """The value of an unquoted scalar: None, bool, int, float, str, or a Trap."""
    if text in _NULL:
        return None
    if text in _BOOLS:
        return _BOOLS[text]
    if text in _SWITCHES:
        meaning = _SWITCHES[text]
        return Trap(
            msg("some YAML readers take {text} for {meaning}, others for text", text=text, meaning=meaning),
            msg('write {meaning}, or "{text}" for the text', meaning=meaning, text=text),
        )
    if text in _SPECIAL:
        return _SPECIAL[text]
    if text[0] not in "-+.0123456789":
        return (
            Trap(msg("`=` alone has a meaning of its own in YAML 1.1"), msg('write "="'))
            if text == "="
            else text
        )
    return _number(text)


def _number(text: str) -> object:
    if len(text) > MAX_DIGITS:
        return (
            Trap(msg("a number of {count} digits", count=len(text)), msg("put it in quotes if it is text"))
            if _digits(text)
            else text
        )
    if _DECIMAL.fullmatch(text):
        return int(text)
    if _HEXADECIMAL.fullmatch(text):
        return int(text, 16)
    if _LEADING_ZERO.fullmatch(text):
        readings = _leading_zero(text)
        return Trap(
            readings,
            msg(
                'write "{text}" for the text, or {without_zeros} for the number',
                text=text,
                without_zeros=_without_zeros(text),
            ),
        )
    if _SIGNED_POINT.fullmatch(text):
        return Trap(
            msg("some YAML readers take {text} for a number, others for text", text=text),
            msg(
                'write {text}0{text2} for the number, or "{text3}" for the text',
                text=text[0],
                text2=text[1:],
                text3=text,
            ),
        )
    if _FLOAT.fullmatch(text):
        return float(text)
    if _DATE.fullmatch(text):
        return Trap(msg("YAML 1.1 reads {text} as a date", text=text), msg('write "{text}"', text=text))
    if _SEXAGESIMAL.fullmatch(text):
        return Trap(
            msg("YAML 1.1 reads {text} as a number in base 60", text=text), msg('write "{text}"', text=text)
        )
    for pattern in (_OCTAL_OR_BINARY, _SIGNED_HEXADECIMAL):
        if pattern.fullmatch(text):
            return Trap(
                msg("some YAML readers take {text} for a number, others for text", text=text),
                msg('write the number in decimal digits, or "{text}" for the text', text=text),
            )
    if _EXPONENT.fullmatch(text):
        return Trap(
            msg("some YAML readers take {text} for a number, others for text", text=text),
            msg(
                'write {spelled_out} for the number, or "{text}" for the text',
                spelled_out=_spelled_out(text),
                text=text,
            ),
        )
    if "_" in text and _UNDERSCORES.fullmatch(text):
        return Trap(
            msg("some YAML readers take {text} for a number, others for text", text=text),
            msg(
                'write {text} for the number, or "{text2}" for the text',
                text=text.replace("_", ""),
                text2=text,
            ),
        )
    return text


def _digits(text: str) -> bool:
    return text.lstrip("+-").replace(".", "", 1).isdigit()


def _without_zeros(text: str) -> str:
    sign = text[0] if text[0] in "+-" else ""
    return sign + (text.lstrip("+-").lstrip("0") or "0")


def _leading_zero(text: str) -> str:
    digits = text.lstrip("+-")
    if set(digits) <= set("01234567"):
        return msg(
            "some YAML readers take {text} for {digits} (octal), others for {without_zeros}",
            text=text,
            digits=int(digits, 8),
            without_zeros=_without_zeros(text),
        )
    return msg(
        "some YAML readers take {text} for text, others for {without_zeros}",
        text=text,
        without_zeros=_without_zeros(text),
    )


def _spelled_out(text: str) -> str:
    value = float(text)
    if value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if abs(value) != float("inf") and 1e-5 < abs(value) < 1e15:
        return repr(value)
    mantissa, exponent = re.split("[eE]", text)
    sign = "" if exponent[0] in "+-" else "+"
    return f"{mantissa if '.' in mantissa else mantissa + '.0'}e{sign}{exponent}"
