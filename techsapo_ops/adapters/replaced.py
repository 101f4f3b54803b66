"""Which files a running process still holds that an update has replaced since, read from the kernel."""

from __future__ import annotations

from pathlib import Path

_GONE = " (deleted)"
_SYSTEM = ("/usr/", "/lib", "/opt/")
"""Where packages put libraries. Elsewhere a file that is gone may have been a temporary one."""


def replaced_files(pid: int, proc: Path = Path("/proc")) -> tuple[str, ...]:
    """Paths of the program and of the shared libraries that process `pid` runs and the disk no longer has.

    A package's new file takes the name of the old one, which the kernel then calls deleted; a library with
    its version in its name only goes. None where the process has ended or belongs to somebody else.
    """
    folder = proc / str(pid)
    try:
        program = str((folder / "exe").readlink())
        maps = (folder / "maps").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:  # it has ended, or is another user's: nothing is known of it
        return ()
    found = {program: None} if program.endswith(_GONE) else {}
    for line in maps.splitlines():
        fields = line.split(maxsplit=5)
        if len(fields) == 6 and "x" in fields[1] and fields[5].endswith(_GONE):
            found[fields[5]] = None
    paths = [text.removesuffix(_GONE) for text in found]
    return tuple(path for path in paths if _is_package_file(path))


def works_in_removed(pid: int, proc: Path = Path("/proc")) -> bool:
    """Whether the folder that process `pid` works in was removed; False where that is not known."""
    try:
        return str((proc / str(pid) / "cwd").readlink()).endswith(_GONE)
    except OSError:
        return False


def _is_package_file(path: str) -> bool:
    """Whether `path` is one that an update replaces: no shared memory, no file that was only temporary."""
    if not path.startswith("/") or path.startswith(("/dev/", "/memfd:", "/SYSV")):
        return False
    return path.startswith(_SYSTEM) or Path(path).exists()
