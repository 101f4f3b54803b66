"""The rule files of `monitoring.rules`: a user's own alerts and recordings, as they wrote them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from techsapo_ops.catalogue.alerts import PAGE, alerts
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.problems import Finding, SpecError, shown
from techsapo_ops.spec.problems import Path as SpecPath
from techsapo_ops.spec.source import Document, parse
from techsapo_ops.spec.user_path import user_path
from techsapo_ops.stack.topology import Topology

FOLDER = "prometheus/rules/own"
"""Where Prometheus reads them."""
_OURS = "techsapo:"
"""How the names of our recording rules begin."""
_PAGING = "true"
"""The value of the label PAGE by which Alertmanager knows what wakes people."""


@dataclass(frozen=True, slots=True)
class RuleFile:
    """A file that the spec names at `field` by a pattern."""

    path: Path
    text: str
    field: SpecPath


@dataclass(slots=True)
class OwnRules:
    """The files by name, the rules of alerts in them, and what is wrong with any."""

    files: dict[str, RuleFile] = field(default_factory=dict)
    alerts: list[Mapping[str, Any]] = field(default_factory=list)
    faults: list[Finding] = field(default_factory=list)

    @property
    def texts(self) -> Mapping[str, str]:
        """The text of each file by its name, in order."""
        return {name: file.text for name, file in self.files.items()}


def own_rules(topology: Topology) -> OwnRules:
    """The rules of the stack. Raises OpsError with the first fault in them."""
    own = read_own_rules(topology.spec, topology.layout.spec_file.parent)
    for fault in own.faults:
        raise OpsError(msg("{field}: {message}", field=".".join(map(str, fault.path)), message=fault.message))
    return own


def read_own_rules(spec: Spec, folder: Path) -> OwnRules:
    """The rules of a spec in `folder`, as far as they can be read. What of PromQL is wrong promtool says."""
    own = OwnRules()
    for number, pattern in enumerate(spec.monitoring.rules):
        where: SpecPath = ("monitoring", "rules", number)
        path = user_path(pattern)
        files = sorted(Path(path.anchor or folder).glob(str(path.relative_to(path.anchor))))
        if not files:
            own.faults.append(Finding(where, msg("no file matches {pattern}", pattern=pattern)))
        for file in files:
            _read(own, file, where, folder)
    return own


def _read(own: OwnRules, file: Path, where: SpecPath, folder: Path) -> None:
    named = str(file.relative_to(folder) if file.is_relative_to(folder) else file)
    if file.name in own.files:
        message = msg("two files have the name {name}", name=file.name)
        own.faults.append(Finding(where, message, msg("give each file its own name")))
        return
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        own.faults.append(Finding(where, msg("{file}:{line}: not UTF-8 text", file=named, line=line)))
        return
    except OSError as error:
        message = msg("cannot read {file}: {strerror}", file=shown(named), strerror=error.strerror)
        own.faults.append(Finding(where, message))
        return
    own.files[file.name] = RuleFile(file, text, where)
    try:
        document = parse(text, named)
    except SpecError as error:
        for broken in error.problems:
            message = msg("{file}:{line}: {message}", file=named, line=broken.line, message=broken.message)
            own.faults.append(Finding(where, message, broken.hint))
        return
    for path, message, hint in _wrong(document, text.splitlines()):
        line = document.values[path].line
        said = msg("{file}:{line}: {message}", file=named, line=line, message=message)
        own.faults.append(Finding(where, said, hint))
    own.alerts += [rule for _, rule in _rules(document) if {"alert", "expr"} <= rule.keys()]


def _wrong(document: Document, lines: Sequence[str]) -> Iterator[tuple[SpecPath, str, str]]:
    """What the stack can't do with rules that may be right for Prometheus; the place, what, and a hint."""
    if not isinstance(document.data.get("groups"), list):
        yield (), msg("the file has no rule groups"), msg("write `groups:` and a list below it")
    for path, group in _groups(document):
        yield from _page(document, lines, path, group)
    for path, rule in _rules(document):
        if isinstance(name := rule.get("alert"), str) and name in alerts():
            taken = msg("{name} is the name of a techsapo alert", name=name)
            yield (*path, "alert"), taken, msg("give it another name")
        if str(rule.get("record", "")).startswith(_OURS):
            message = msg("names that begin with `{ours}` are reserved for techsapo", ours=_OURS)
            yield (*path, "record"), message, msg("give it another name")
        yield from _page(document, lines, path, rule)


def _page(
    document: Document, lines: Sequence[str], above: SpecPath, entry: Mapping[str, Any]
) -> Iterator[tuple[SpecPath, str, str]]:
    path = (*above, "labels", PAGE)
    if path not in document.values:
        return
    line, column = document.values[path]
    # To Prometheus, True without quotes is another text than true.
    if entry["labels"][PAGE] != _PAGING or lines[line - 1].startswith("T", column - 1):
        hint = msg(
            'write {page}: "true" for an alert that pages people; remove the label from other alerts',
            page=PAGE,
        )
        yield path, msg("the label {page} is not true, so the alert pages nobody", page=PAGE), hint


def _groups(document: Document) -> Iterator[tuple[SpecPath, dict[str, Any]]]:
    """Each group and its place. What is none is left to promtool."""
    groups = document.data.get("groups")
    for number, group in enumerate(groups if isinstance(groups, list) else ()):
        if isinstance(group, dict):
            yield ("groups", number), {**group, "labels": _texts(_mapping(group, "labels"))}


def _rules(document: Document) -> Iterator[tuple[SpecPath, dict[str, Any]]]:
    """Each rule and its place, with the labels that its group gives it."""
    for path, group in _groups(document):
        rules = group.get("rules")
        for number, rule in enumerate(rules if isinstance(rules, list) else ()):
            if isinstance(rule, dict):
                labels = {**group["labels"], **_texts(_mapping(rule, "labels"))}
                yield (*path, "rules", number), {**rule, "labels": labels}


def _mapping(above: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = above.get(key)
    return value if isinstance(value, dict) else {}


def _texts(labels: Mapping[str, Any]) -> dict[str, str]:
    """Labels as Prometheus takes them: what is no text is one there."""
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in labels.items()
    }
