"""The API keys of both trees: the same ones, so that their ids are equal too."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "lab"))

from api_keys import make_key


@dataclass(frozen=True)
class Callers:
    """What each caller sends as its key, and the file that the app reads; `nobody` sends none."""

    keys: dict[str, str]
    file: Path


def callers(folder: Path) -> Callers:
    """New keys in `folder`: one that may ask, and those that may not, for every reason."""
    file = folder / "keys.json"
    keys = {
        "ops": make_key(file, "ops", per_minute=10**6),
        "monitor": make_key(file, "monitor", "monitor"),
        "revoked": make_key(file, "revoked", revoked=datetime(2026, 1, 1, tzinfo=UTC)),
        "expired": make_key(file, "expired", expires=datetime(2026, 1, 1, tzinfo=UTC)),
        "poor": make_key(file, "poor", daily_usd=0.000001),
        "unknown": make_key(folder / "other.json", "unknown"),
        "malformed": "sk-123",
    }
    return Callers(keys, file)
