"""Log files of this host: the part of each that is of the window, found by halving, however large it is."""

from __future__ import annotations

import errno
import glob
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from techsapo_ops.adapters.log_lines import line_time
from techsapo_ops.errors import OpsError
from techsapo_ops.incidents.material import Line, Material, Subject
from techsapo_ops.incidents.readers.lines import Window, lines_of
from techsapo_ops.messages import joined, msg

MOST_FILES = 20
"""Files of one pattern: those that were written to last."""
MOST_BYTES = 6 * 1024 * 1024
"""Bytes of all of them, around the beginning of the alert."""
_BLOCK = 64 * 1024
_MOST_LINKS = 40
"""As many as the kernel follows in one path (path_resolution(7))."""
_UNDATED = 64 * 1024
"""Bytes of the end of a file whose lines carry no time."""


@dataclass(frozen=True, slots=True)
class LogFiles:
    """The log files that match `pattern`, of the service `service`."""

    pattern: str
    service: str = ""

    def __call__(self, subject: Subject, start: datetime, end: datetime) -> Material:
        """Lines of all files. Raises OpsError where there is no file, or one can't be read."""
        window = Window(start, end, subject.began)
        lines: list[Line] = []
        refused: list[str] = []
        paths = self._paths()
        for path in paths:
            try:
                with open_log(path) as file:
                    dated = dated_lines(file, window, MOST_BYTES // len(paths))
                    texts = ((when, text, None) for when, text in dated)
                    lines += lines_of(texts, window, service=self.service)
            except OSError as error:
                refused.append(msg("{path}: {strerror}", path=path, strerror=error.strerror))
        if refused and not lines:
            raise OpsError(joined("; ", refused))
        return Material(subject, start, end, lines=tuple(sorted(lines, key=lambda line: line.at)))

    def readable(self) -> None:
        """Raise OpsError where there is no such file, or this user may not read it."""
        for path in self._paths():
            try:
                open_log(path).close()
            except OSError as error:
                raise OpsError(msg("{path}: {strerror}", path=path, strerror=error.strerror)) from None

    def _paths(self) -> list[Path]:
        """The files, and of each the one that was rotated away last. Raises OpsError for none."""
        written: dict[Path, float] = {}
        for name in glob.glob(self.pattern):  # noqa: PTH207 - the pattern is a whole path
            for path in (Path(name), Path(f"{name}.1")):
                with suppress(OSError):  # it was not rotated yet, or is gone
                    written[path] = path.lstat().st_mtime
        if not written:
            raise OpsError(msg("there is no file {pattern}", pattern=self.pattern))
        return sorted(written, key=lambda path: -written[path])[:MOST_FILES]


def open_log(path: Path) -> IO[bytes]:
    """The regular file at `path`. Raises OSError.

    A link on the way is followed where root or this user made it: another user could have it lead to what
    this user alone may read.
    """
    trusted = {0, os.geteuid()}
    real, left, links = Path("/"), list(reversed(path.absolute().parts[1:])), 0
    while left:
        part = left.pop()
        there = real.parent if part == ".." else real / part
        if not stat.S_ISLNK((facts := there.lstat()).st_mode):
            real = there
            continue
        links += 1
        if facts.st_uid not in trusted:
            raise PermissionError(0, msg("a symbolic link of another user is not followed"))
        if links > _MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        target = there.readlink()
        real = Path("/") if target.is_absolute() else real
        left += reversed([part for part in target.parts if part != "/"])
    descriptor = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        opened = Path(f"/proc/self/fd/{descriptor}").readlink()
        if opened != real or not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise PermissionError(0, msg("it is not a regular file"))
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)  # fdopen leaves it open where it fails, as for a folder
        raise


def dated_lines(file: IO[bytes], window: Window, most: int) -> Iterator[tuple[datetime | None, str]]:
    """Time and text of the lines of `file` in `window`: at most `most` bytes, those around `window.began`.

    Of a file whose lines carry no time the end, as written when the file was written to last.
    """
    size = file.seek(0, os.SEEK_END)
    if _first_time(file, 0, size) is None:
        written = datetime.fromtimestamp(os.fstat(file.fileno()).st_mtime, UTC)
        yield from ((written, text) for text in _texts(file, max(0, size - _UNDATED), size))
        return
    begin, stop = _place(file, window.start, size), _place(file, window.end, size, after=True)
    if stop - begin > most:
        middle = _place(file, window.began, size)
        begin = min(max(begin, middle - most // 2), stop - most)
        stop = begin + most
    texts = list(_texts(file, begin, stop))
    for text in texts if stop == size else texts[:-1]:  # the last one is cut
        yield line_time(text), text


def _place(file: IO[bytes], moment: datetime, size: int, *, after: bool = False) -> int:
    """A place in the file before which all lines are older than `moment`; `after`: from which on newer."""
    low, high = 0, size
    while high - low > _BLOCK:
        middle = (low + high) // 2
        found = _first_time(file, middle, high)
        if found is None or found > moment or (found == moment and not after):
            high = middle
        else:
            low = middle
    return min(high + _BLOCK, size) if after else low


def _first_time(file: IO[bytes], begin: int, end: int) -> datetime | None:
    """The time of the first line between these places that has one."""
    return next(filter(None, map(line_time, _texts(file, begin, min(begin + _BLOCK, end)))), None)


def _texts(file: IO[bytes], begin: int, end: int) -> Iterator[str]:
    """The lines between these places; of one that begins before it nothing."""
    file.seek(begin)
    lines = file.read(end - begin).split(b"\n")
    for line in lines[1 if begin else 0 :]:
        yield line.removesuffix(b"\r").decode(errors="replace")
