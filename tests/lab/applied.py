"""What an apply left: the generated files, and what Prometheus runs."""

from __future__ import annotations

import hashlib

from projects import Project


def files(stack: Project) -> dict[str, str]:
    """Digest of each generated file."""
    config = stack.state / "generated"
    return {
        str(path.relative_to(config)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(config.rglob("*"))
        if path.is_file() and path.name != ".manifest.json"
    }


def loaded_threshold(stack: Project) -> str:
    """What MemoryHigh compares with in the running Prometheus."""
    groups = stack.ask("prometheus", "api/v1/rules")["data"]["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    query: str = next(rule["query"] for rule in rules if rule["name"] == "MemoryHigh")
    return query.rpartition("> ")[2]
