"""API keys of an app in the lab: made as `techsapo keys create` makes them, and used."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from servers import Server

from techsapo_ops.stores.keys import KeyFile, Scope, new_key

NEEDED = {"app": {"auth": {"required": True}}}
"""Sections of a spec whose app needs keys."""


def keys_of(app: Server) -> Path:
    return app.directory / ".techsapo" / "api-keys" / "keys.json"


def make_key(path: Path, name: str, scope: Scope = "ask", **limits: Any) -> str:
    """A further key in the file at `path`, as `techsapo keys create` makes it."""
    file = KeyFile(path)
    kept, shown = new_key(name, plan="basic", scopes=(scope,), now=datetime.now(UTC))
    path.parent.mkdir(parents=True, exist_ok=True)
    file.write((*file.read(), replace(kept, **limits)))
    return shown


def with_key(server: Server, key: str, prompt: str = "disk full", **headers: str) -> httpx.Response:
    return httpx.post(
        f"{server.url}/api/v1/generate",
        json={"prompt": prompt},
        headers={"Authorization": f"Bearer {key}", **headers},
        timeout=60,
        trust_env=False,
    )
