"""The rule files of `monitoring.rules`: a user's own alerts and recordings, as they wrote them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.stack.topology import Topology

FOLDER = "prometheus/rules/own"
"""Where Prometheus reads them."""


def own_rules(topology: Topology) -> Mapping[str, str]:
    """The text of each file by its name, in order. promtool judges it with the rest of what is rendered.

    Raises OpsError for a pattern that matches no file, two files of one name, and one that can't be read.
    """
    folder = topology.layout.spec_file.parent
    texts: dict[str, str] = {}
    for number, pattern in enumerate(topology.spec.monitoring.rules):
        path = Path(pattern).expanduser()
        where = f"monitoring.rules.{number}"
        files = sorted(Path(path.anchor or folder).glob(str(path.relative_to(path.anchor))))
        if not files:
            raise OpsError(msg("{where}: no file is called {pattern}", where=where, pattern=pattern))
        for file in files:
            if file.name in texts:
                raise OpsError(
                    msg("{where}: two files are called {name}", where=where, name=file.name),
                    msg("give each a name of its own"),
                )
            try:
                texts[file.name] = file.read_text(encoding="utf-8")
            except (OSError, UnicodeError) as error:
                raise OpsError(msg("cannot read {path}: {error}", path=file, error=error)) from None
    return texts


def own_alerts(texts: Mapping[str, str]) -> Sequence[Mapping[str, Any]]:
    """The rules of alerts in those files. What is none is left to promtool, which says where."""
    rules: list[Mapping[str, Any]] = []
    for text in texts.values():
        try:
            read = read_yaml(text)
        except yaml.YAMLError:
            continue
        found = read.get("groups") if isinstance(read, dict) else None
        for group in found if isinstance(found, list) else ():
            listed = group.get("rules") if isinstance(group, dict) else None
            rules += [
                rule
                for rule in (listed if isinstance(listed, list) else ())
                if isinstance(rule, dict) and {"alert", "expr", "labels"} <= rule.keys()
            ]
    return rules
