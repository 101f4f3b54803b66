"""Another PATH for root's command line and for all that it starts, which otherwise search a fixed one."""

from __future__ import annotations

from pathlib import Path


def searching(path: str, folder: Path) -> dict[str, str]:
    """Variables with which `techsapo` searches `path`, and so do its jobs and services; written to `folder`.

    No variable of its own does that: whoever may set PYTHONPATH for root runs what they like anyway.
    """
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(
        f"from techsapo_ops.cli import process\nprocess.ROOT_PATH = {path!r}\n", encoding="utf-8"
    )
    return {"PATH": path, "PYTHONPATH": str(folder)}
