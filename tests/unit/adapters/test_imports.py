"""Packages that are imported when they are first used, by several threads of one process at once."""

from __future__ import annotations

import re
import threading
import time
from pathlib import Path

from techsapo_ops.adapters.imports import first_use


def test_one_thread_at_a_time_imports() -> None:
    inside, most = 0, 0

    def load() -> None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        time.sleep(0.02)
        inside -= 1

    threads = [threading.Thread(target=first_use, args=(load,)) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


def test_sqlalchemy_is_entered_through_its_top_module_alone(repository: Path) -> None:
    """Through `sqlalchemy.exc` in one thread and `sqlalchemy` in another it was left half imported, once."""
    entered = re.compile(r"^\s+(?:from|import) (sqlalchemy\.(?!dialects)\S*)", re.MULTILINE)
    found = {
        path.name: entered.findall(path.read_text(encoding="utf-8"))
        for path in (repository / "techsapo_ops").rglob("*.py")
        if "migrations" not in path.parts
    }
    assert {name: modules for name, modules in found.items() if modules} == {}
