"""Where this host has its Debian packages from, for systems that a lab makes: no file of ours says it."""

from __future__ import annotations

from pathlib import Path


def first_mirror() -> list[str]:
    """The first mirror that this host uses over the network; none: debootstrap's own default."""
    for path in sorted(Path("/etc/apt/sources.list.d").glob("*.sources")):
        for line in path.read_text().splitlines():
            if line.startswith("URIs:") and "file:" not in line and "security" not in line:
                return [line.split()[1]]
    return []


def apt_as_here(root: Path) -> None:
    """Let apt in the system below `root` ask the mirrors of this host, in the way that this host does."""
    apt = root / "etc/apt"
    (apt / "sources.list").write_text("")
    for path in Path("/etc/apt/sources.list.d").glob("*.sources"):
        if "file:" not in (text := path.read_text()):
            (apt / "sources.list.d" / path.name).write_text(text)
    if Path("/etc/apt/sources.list").exists():
        (apt / "sources.list").write_text(Path("/etc/apt/sources.list").read_text())
    for path in Path("/etc/apt/apt.conf.d").iterdir():
        if "Acquire::" in (text := path.read_text()):
            (apt / "apt.conf.d" / path.name).write_text(text)
