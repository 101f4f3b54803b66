"""What differs between two renderings."""

from __future__ import annotations

import difflib
import json
import re
from collections import defaultdict
from pathlib import Path

BUILD = re.compile(r"\d+\.\d+\.\d+\+[0-9a-f]{10}(\.[0-9a-f]{6})?|(?<=techsapo/)\w+:[0-9a-f]{12}")
"""What names the package by its content."""


def compare(before: Path, after: Path, *, diff: bool = False) -> int:
    """Print what differs, the same difference of many stacks once; the number of files that differ."""
    found: dict[tuple[str, str, tuple[str, ...]], list[str]] = defaultdict(list)
    old, new = _files(before), _files(after)
    for path in sorted(old.keys() | new.keys()):
        lines: tuple[str, ...] = ()
        if path in old and path in new:
            was, now = _comparable(old[path]), _comparable(new[path])
            if was == now:
                continue
            told = difflib.unified_diff(was.splitlines(), now.splitlines(), lineterm="", n=0)
            lines = tuple(line for line in told if not line.startswith(("@@", "---", "+++")))
        what = "gone" if path not in new else "differs" if path in old else "new"
        found[what, _kind(path), lines].append(path)
    for (what, kind, lines), paths in found.items():
        where = f" ({len(paths)}: {', '.join(map(_where, paths[:3]))}…)" if _where(paths[0]) else ""
        print(f"{what:8} {kind}{where}")
        if diff and lines:
            print(*lines, sep="\n")
    count = sum(map(len, found.values()))
    print(f"{count} of {len(old.keys() | new.keys())} files differ")
    return count


def _comparable(file: Path) -> str:
    """Its text without what always differs between two trees or two moments; JSON on many lines."""
    text = file.read_text(encoding="utf-8", errors="surrogateescape")
    text = BUILD.sub("<build>", text)
    text = re.sub(r"\d+ GB free \(\d+%\)", "<free>", text)
    if file.suffix == ".json" and "\n" not in text.strip():
        return json.dumps(json.loads(text), indent=1, ensure_ascii=False)
    return text


def _files(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise SystemExit(f"{folder} is no folder")
    return {str(p.relative_to(folder)): p for p in folder.rglob("*") if p.is_file()}


def _kind(path: str) -> str:
    parts = path.split("/")
    return "/".join(parts[3:]) if parts[0] == "stacks" else path


def _where(path: str) -> str:
    parts = path.split("/")
    return "/".join(parts[1:3]) if parts[0] == "stacks" else ""
