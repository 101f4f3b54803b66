"""Values as text of other languages, so that none breaks out of its place."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import yaml
from yaml.emitter import Emitter

from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*|([0-9]+(ms|[smhdwy]))+")
# Words that one YAML reader or another (1.1 in Go and PyYAML, 1.2 elsewhere) takes for something but text.
_WORDS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"}
_ESCAPED = re.compile(r"[^ !#-\[\]-~\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd]")
"""What stands as an escape between double quotes."""
_UNPRINTED = re.compile(r"[^ -~\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010fffe]")
"""What no other style holds, line breaks aside: control characters, and breaks that some readers fold."""
_SIMPLE_KEY = 122
"""Most characters of a key that readers take without `?` before it."""


def printable(text: str) -> str:
    """`text` as it is. Raises OpsError for one with a control character, which no quoting carries."""
    if _CONTROL.search(text):
        raise OpsError(msg("{text} holds a control character", text=repr(text)), msg("rename the folder"))
    return text


def to_yaml(value: Any, indent: int = 0) -> str:
    """`value` as YAML that can't break out of its place: scalars on one line, collections as a block.

    Lines after the first are indented by `indent` spaces, so that a block can stand anywhere:
    `key:\\n  {{ value | to_yaml(2) }}`. No line is folded, Japanese is kept as it is, and text is quoted
    unless every YAML reader takes it for text. Not by PyYAML: libyaml can't indent the lists of a mapping,
    and the emitter in Python took three quarters of a `techsapo plan`. Raises yaml.YAMLError for a value
    that is no data, such as a path.
    """
    first, *rest = _lines(value)
    pad = " " * (indent if _is_block(value) else indent + 2)
    return "\n".join([first, *(pad + line if line else "" for line in rest)])


def _is_block(value: Any) -> bool:
    return isinstance(value, Mapping | list | tuple) and bool(value)


def _lines(value: Any) -> list[str]:
    """The lines of a value; those after the first are to be indented where the value is no collection."""
    if not _is_block(value):
        return _scalar(value)
    if isinstance(value, Mapping):
        return [line for key, each in value.items() for line in _entry(key, each)]
    return [line for each in value for line in _hung("- ", _lines(each))]


def _entry(key: Any, value: Any) -> list[str]:
    name = _scalar(key)
    if key == "" or len(name) > 1 or len(str(key)) > _SIMPLE_KEY:
        return [*_hung("? ", name), *_hung(": ", _lines(value))]
    if _is_block(value):
        return _hung(f"{name[0]}:", ["", *_lines(value)])
    return _hung(f"{name[0]}: ", _lines(value))


def _hung(mark: str, lines: list[str]) -> list[str]:
    first, *rest = lines
    return [mark + first, *(f"  {line}" if line else "" for line in rest)]


def _scalar(value: Any) -> list[str]:
    if isinstance(value, str):
        return _text(value)
    if value is None or isinstance(value, bool):
        return [{None: "null", True: "true", False: "false"}[value]]
    if type(value) is int:
        return [str(value)]
    written: str = yaml.safe_dump(value, allow_unicode=True)
    return written.removesuffix("...\n").splitlines()


def _text(text: str) -> list[str]:
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return [text]
    lines = text.split("\n")
    if not any(map(_UNPRINTED.search, lines)):
        if len(lines) > 1 and text == text.strip() and " \n" not in text:
            return ["|-", *lines]
        if '"' in text and len(lines) == 1:
            return ["'" + text.replace("'", "''") + "'"]
    return ['"' + _ESCAPED.sub(_escape, text) + '"']


def _escape(match: re.Match[str]) -> str:
    character, code = match[0], ord(match[0])
    if (known := Emitter.ESCAPE_REPLACEMENTS.get(character)) is not None:
        return f"\\{known}"
    if code <= 0xFF:
        return f"\\x{code:02X}"
    return f"\\u{code:04X}" if code <= 0xFFFF else f"\\U{code:08X}"


def to_json(value: Any, indent: int | None = None) -> str:
    """`value` as JSON, Japanese kept as it is. Raises ValueError for NaN and infinities."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent)


def go_template_text(text: str) -> str:
    """`text` as it must stand in a Go template to come out as it is."""
    return text.replace("{{", '{{ "{{" }}')
