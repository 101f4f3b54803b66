"""Reads an archive that somebody else may have written: regular files and folders alone, in little memory.

`tarfile` reads the extended headers of any size into memory, and leaves it to its caller what a name, a link
or a device may be. Here what is not a plain file below a plain name ends the reading. The format is that of
POSIX.1-2001's pax, "ustar Interchange Format" and "pax Extended Header", with GNU tar's long names (type L).
"""

from __future__ import annotations

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
        raise ArchiveError(msg("the name {name} leads elsewhere", name=repr(name)))
    return parts


def entries(stream: Stream, most: int) -> Iterator[tuple[Member, Iterator[bytes]]]:
    """Each entry with the pieces of its content, which may be left unread. Raises ArchiveError.

    `./` in front of a name and `/` after a folder's are taken off; the folder of the archive itself is left
    out. The same name twice is refused, so are more than `most` entries, and anything after the end.
    """
    seen: set[str] = set()
    name, size = "", -1
    while (header := _exactly(stream, _BLOCK)) != _END:
        kind = header[156:157]
        length = _number(header[124:136])
        if sum(header) - sum(header[148:156]) + 8 * 0x20 != _number(header[148:156]):
            raise ArchiveError(msg("the checksum of a header differs"))
        if kind in {_PAX, _LONG_NAME}:
            if length > _LONGEST_HEADER:
                raise ArchiveError(msg("a header says that it has {length} bytes", length=length))
            data = _exactly(stream, -(-length // _BLOCK) * _BLOCK)[:length]
            if kind == _LONG_NAME:
                name = _text(data.rstrip(b"\0"))
            else:
                name, size = _extended(data, name, size)
            continue
        folder = kind == _FOLDER
        full = (name or _short_name(header)).removeprefix("./")
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
                raise ArchiveError(msg("the folder {full} has a content", full=repr(full)))
            if full in {"", "."}:
                continue
        parts_of(full)
        if full in seen:
            raise ArchiveError(msg("{full} is there twice", full=repr(full)))
        seen.add(full)
        if len(seen) > most:
            raise ArchiveError(msg("it has more than {most:,} entries", most=most))
        content = _content(stream, length)
        yield Member(full, length, _number(header[100:108]) & 0o777, folder), content
        for _ in content:
            pass
        _exactly(stream, -length % _BLOCK)
    while data := stream.read(_PIECE):
        if data.strip(b"\0"):
            raise ArchiveError(msg("it goes on after its end"))


def _content(stream: Stream, length: int) -> Iterator[bytes]:
    left = length
    while left:
        data = stream.read(min(left, _PIECE))
        if not data:
            raise ArchiveError(msg("it is cut short"))
        left -= len(data)
        yield data


def _exactly(stream: Stream, size: int) -> bytes:
    data = stream.read(size)
    if len(data) != size:
        raise ArchiveError(msg("it is cut short"))
    return data


def _number(field: bytes) -> int:
    """A number in octal digits, or in base 256 as GNU tar writes large ones."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b" \0")
    if not all(0x30 <= digit <= 0x37 for digit in digits):
        raise ArchiveError(msg("a number in a header can't be read"))
    return int(digits, 8) if digits else 0


def _short_name(header: bytes) -> str:
    name = header[:100].partition(b"\0")[0]
    prefix = header[345:500].partition(b"\0")[0] if header[257:263] == b"ustar\0" else b""
    return _text(prefix + b"/" + name if prefix else name)


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
            raise ArchiveError(msg("an extended header has {word}", word=repr(word)))
    return name, size


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise ArchiveError(msg("the name {data} is not UTF-8", data=repr(data[:100]))) from None
