"""The templates of generated files, and values as text of other languages that fill them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Protocol

import yaml

from techsapo_ops.errors import OpsError
from techsapo_ops.messages import Message, msg


class Templates(Protocol):
    """Renders templates by name; the operator's own come before ours."""

    def render(self, name: str, **values: Any) -> str:
        """The text of template `name`. Raises OpsError for one that does not render."""
        ...

    def overrides(self) -> Mapping[str, str]:
        """Text of each template of the operator's own, by name."""
        ...


_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*|([0-9]+(ms|[smhdwy]))+")
# Words that one YAML reader or another (1.1 in Go and PyYAML, 1.2 elsewhere) takes for something but text.
_WORDS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"}
# Several lines that need no quotes: no blank at either end, and none of Unicode's other line breaks.
_BLOCK = re.compile(r"\S([^\x85\u2028\u2029]*\S)?")
_BREAKS = re.compile(r"[\x85\u2028\u2029]")
"""Line breaks that only double quotes keep: between single ones a reader folds them."""
_NEVER_FOLDED = 1 << 30


class _Dumper(yaml.CSafeDumper):
    """Text is quoted unless every YAML reader takes it for text."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's signature
        return True


def _is_plain(text: str) -> bool:
    return _PLAIN.fullmatch(text) is not None and text.lower() not in _WORDS


def _represent_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    style = '"'
    if _is_plain(text):
        style = ""
    elif "\n" in text and _BLOCK.fullmatch(text):
        style = "|"
    elif '"' in text and not _BREAKS.search(text):
        style = "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)
_Dumper.add_representer(Message, _represent_text)
_Dumper.add_representer(tuple, yaml.SafeDumper.represent_list)


def printable(text: str) -> str:
    """`text` as it is. Raises OpsError for one with a control character, which no quoting carries."""
    if _CONTROL.search(text):
        raise OpsError(msg("{text} contains a control character", text=repr(text)), msg("rename the folder"))
    return text


def to_yaml(value: Any, indent: int = 0) -> str:
    """`value` as YAML that can't break out of its place: scalars on one line, collections as a block.

    Lines after the first are indented by `indent` spaces, so that a block can stand anywhere:
    `key:\\n  {{ value | to_yaml(2) }}`. No line is folded and Japanese is kept as it is. By libyaml, which
    does not indent the lists of a mapping: PyYAML's own emitter does, and took three quarters of a `plan`.
    """
    if isinstance(value, str) and _is_plain(value):  # most are: a dumper for each would take as long as all
        return str(value)
    text = yaml.dump(value, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=_NEVER_FOLDED)
    text = text.removesuffix("...\n").rstrip("\n")
    return text.replace("\n", "\n" + " " * indent).replace("\n" + " " * indent + "\n", "\n\n")


def to_json(value: Any, indent: int | None = None) -> str:
    """`value` as JSON, Japanese kept as it is. Raises ValueError for NaN and infinities."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent)


def go_template_text(text: str) -> str:
    """`text` as it must stand in a Go template to come out as it is."""
    return text.replace("{{", '{{ "{{" }}')
