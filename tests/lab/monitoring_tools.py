"""Prometheus's and Alertmanager's own tools, and what they are given."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import servers

from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.stack.desired import RenderedFile

RARELY_COLLECTING = {**os.environ, "GOGC": "400", "GOMEMLIMIT": "1GiB"}
"""For a tool in Go that runs for seconds: it spends a quarter of them on looking for memory to reuse."""


def tool(*argv: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a tool to its end; both streams in stdout."""
    return subprocess.run(
        [servers.binary(str(argv[0])), *map(str, argv[1:])],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=280, check=False,
        env=RARELY_COLLECTING,
    )  # fmt: skip


def passes(*argv: str | Path) -> str:
    """Run a tool that must find nothing wrong."""
    done = tool(*argv)
    assert done.returncode == 0, done.stdout
    return done.stdout


def rules_of(files: dict[str, RenderedFile], name: str) -> list[dict[str, Any]]:
    """All rules of prometheus/rules/`name`.yml."""
    groups = read_yaml(files[f"prometheus/rules/{name}.yml"].content)["groups"]
    return [rule for group in groups for rule in group["rules"]]


def alert_rules(files: dict[str, RenderedFile]) -> dict[str, dict[str, Any]]:
    """Alert rules by alert name."""
    return {rule["alert"]: rule for rule in rules_of(files, "alerts")}
