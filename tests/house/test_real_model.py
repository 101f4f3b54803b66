"""What `make real-model` fetches is pinned: a version and digests for each, and no address of a registry."""

from __future__ import annotations

import re
from pathlib import Path

from rows import each_row

FOLDER = Path(__file__).parents[1] / "real_model"
_PIN = re.compile(r"[a-z0-9-]+==[0-9.]+( --hash=sha256:[0-9a-f]{64})+")


@each_row("name", ["tools.txt", "model.txt"])
def test_everything_that_is_fetched_has_a_version_and_digests(name: str) -> None:
    text = (FOLDER / name).read_text("utf-8")
    assert "://" not in text
    joined = re.sub(r"\\\n\s*", "", "".join(f"{line}\n" for line in text.splitlines() if line[:1] != "#"))
    pins = joined.strip().splitlines()
    assert pins
    for pin in pins:
        assert _PIN.fullmatch(pin), pin
