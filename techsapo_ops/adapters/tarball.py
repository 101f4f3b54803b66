"""Reads an archive that somebody else may have written: regular files and folders alone, in little memory.

`tarfile` reads the extended headers of any size into memory, and leaves it to its caller what a name, a link
or a device may be. Here what is not a plain file below a plain name ends the reading. The format is that of
POSIX.1-2001's pax, "ustar Interchange Format" and "pax Extended Header", with GNU tar's long names (type L).
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass

from techsapo_ops.adapters.packed import Stream
from techsapo_ops.messages import msg

_BLOCK = 512
_END = bytes(_BLOCK)
_PIECE = 256 * 1024
_LONGEST_HEADER = 64 * 1024
"""Bytes of an extended header: a path has 4,096 at most (PATH_MAX), and its records little else."""
_FILES = frozenset({b"0", b"\0", b"7"})
_FOLDER = b"5"
_PAX = b"x"
_LONG_NAME = b"L"
_KINDS = {
    b"1": msg("a hard link"),
    b"2": msg("a symbolic link"),
    b"3": msg("a device"),
    b"4": msg("a device"),
    b"6": msg("a pipe"),
}
_HARMLESS = frozenset({"mtime", "atime", "ctime", "uid", "gid", "uname", "gname"})
"""Keys of an extended header that nothing here looks at."""


class ArchiveError(Exception):
    """The archive is damaged, or holds what none of ours does."""


@dataclass(frozen=True, slots=True)
class Member:
    """One file or folder of an archive; `mode` has neither setuid, setgid nor sticky."""

    name: str
    size: int
    mode: int
    folder: bool


def parts_of(name: str) -> tuple[str, ...]:
    """The parts of a relative name. Raises ArchiveError where it is empty, absolute, or has `.` or `..`."""
    parts = tuple(name.split("/"))
    if "\0" in name or any(part in {"", ".", ".."} for part in parts):
        raise ArchiveError(msg("the name {name} points outside its folder", name=repr(name)))
    return parts


def entries(stream: Stream, most: int) -> Iterator[tuple[Member, Iterator[bytes]]]:
    """Each entry with the pieces of its content, which may be left unread. Raises ArchiveError.

    `./` in front of a name and `/` after a folder's are taken off; the folder of the archive itself is left
    out. The same name twice is refused, so are more than `most` entries, and anything after the end.
    """
    seen: set[str] = set()
    name, size = "", -1
    while (header := _exactly(stream, _BLOCK)) != _END:
        info = _header(header)
        kind, length = info.type, info.size
        if kind in {_PAX, _LONG_NAME}:
            if length > _LONGEST_HEADER:
                raise ArchiveError(msg("a header claims to be {length} bytes long", length=length))
            data = _exactly(stream, -(-length // _BLOCK) * _BLOCK)[:length]
            if kind == _LONG_NAME:
                name = _text(data.rstrip(b"\0"))
            else:
                name, size = _extended(data, name, size)
            continue
        folder = kind == _FOLDER
        full = (name or _text(info.name.encode("utf-8", "surrogateescape"))).removeprefix("./")
        length = size if size >= 0 else length
        name, size = "", -1
        if kind not in _FILES and not folder:
            raise ArchiveError(
                msg(
                    "{full} is {kinds}",
                    full=repr(full),
                    kinds=_KINDS.get(kind, msg("neither a file nor a folder")),
                )
            )
        if folder:
            full = full.rstrip("/")
            if length:
                raise ArchiveError(msg("the entry of the folder {full} contains data", full=repr(full)))
            if full in {"", "."}:
                continue
        parts_of(full)
        if full in seen:
            raise ArchiveError(msg("the archive contains {full} twice", full=repr(full)))
        seen.add(full)
        if len(seen) > most:
            raise ArchiveError(msg("the archive has more than {most:,} entries", most=most))
        content = _content(stream, length)
        yield Member(full, length, info.mode & 0o777, folder), content
        for _ in content:
            pass
        _exactly(stream, -length % _BLOCK)
    while data := stream.read(_PIECE):
        if data.strip(b"\0"):
            raise ArchiveError(msg("the archive has extra data after its end"))


def _content(stream: Stream, length: int) -> Iterator[bytes]:
    left = length
    while left:
        data = stream.read(min(left, _PIECE))
        if not data:
            raise ArchiveError(msg("the archive is truncated"))
        left -= len(data)
        yield data


def _exactly(stream: Stream, size: int) -> bytes:
    data = stream.read(size)
    if len(data) != size:
        raise ArchiveError(msg("the archive is truncated"))
    return data


def _header(block: bytes) -> tarfile.TarInfo:
    """What a header says; the part of a name that is not UTF-8 is left to `_text`."""
    try:
        info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError):
        raise ArchiveError(msg("a header can't be read")) from None
    if info.size < 0:
        raise ArchiveError(msg("a header can't be read"))
    return info


def _extended(data: bytes, name: str, size: int) -> tuple[str, int]:
    """Name and size as the records `LENGTH KEY=VALUE\\n` change them."""
    while data:
        digits, _, _ = data[:20].partition(b" ")
        if not digits.isdigit() or not len(digits) + 3 <= int(digits) <= len(data):
            raise ArchiveError(msg("an extended header can't be read"))
        record, data = data[: int(digits)], data[int(digits) :]
        key, equals, value = record[len(digits) + 1 :].partition(b"=")
        if not equals or not value.endswith(b"\n"):
            raise ArchiveError(msg("an extended header can't be read"))
        word = _text(key)
        if word == "path":
            name = _text(value[:-1])
        elif word == "size" and value[:-1].isdigit() and len(value) < 20:
            size = int(value)
        elif word not in _HARMLESS:
            raise ArchiveError(msg("an extended header contains {word}", word=repr(word)))
    return name, size


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise ArchiveError(msg("the name {data} is not UTF-8", data=repr(data[:100]))) from None
