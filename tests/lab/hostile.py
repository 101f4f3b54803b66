"""Backups as an attacker writes them: each fits its own digests, and holds what none of ours does."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from techsapo_ops.adapters.packed import PackedWriter, file_sha256
from techsapo_ops.backup.repository.folder import MANIFEST, SUMS
from techsapo_ops.backup.repository.origin import MAC, Keyring

ID = "20260131T020000Z"
STAMP = "2026-01-31T02:00:00+00:00"
PAYLOAD = b"#!/bin/sh\nid\n"
GIB = 1024**3


def entry(name: str, content: bytes = PAYLOAD, kind: bytes = tarfile.REGTYPE, **fields: Any) -> bytes:
    """One entry of a tar, with `fields` of tarfile.TarInfo."""
    info = tarfile.TarInfo(name)
    info.size, info.type = len(content), kind
    for field, value in fields.items():
        setattr(info, field, value)
    padding = bytes(-len(content) % 512)
    return info.tobuf(tarfile.PAX_FORMAT) + content + padding


def header(name: str, size: int, kind: bytes) -> bytes:
    """A header alone, in the form that takes sizes beyond 8 GiB."""
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info.tobuf(tarfile.GNU_FORMAT)


END = bytes(1024)


def names_of(pieces: Iterable[bytes]) -> dict[str, str]:
    """Names and digests of what a tar holds, as a manifest lists them."""
    found = {}
    with tarfile.open(fileobj=io.BytesIO(b"".join(pieces))) as tar:
        for info in tar:
            file = tar.extractfile(info) if info.isreg() else None
            found[info.name] = hashlib.sha256(file.read() if file is not None else b"").hexdigest()
    return found


def manifest(files: dict[str, str], part: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """A manifest of a backup of the configuration."""
    config = {
        "kind": "config", "file": f"config-{ID}.tar.zst", "bytes": 1, "raw_bytes": 1, "sha256": "0" * 64,
        "seconds": 0.1, "server": "techsapo-ops 0.1.0", "facts": {"files": files, "left_out": {}},
        **(part or {}),
    }  # fmt: skip
    return {
        "version": 1, "id": ID, "sequence": 1, "project": "lab", "engine": "native", "tool": "0.1.0",
        "started": STAMP, "ended": STAMP, "parts": [config], "tag": "", "left_out": {}, **fields,
    }  # fmt: skip


def write(
    repository: Path, pieces: Iterable[bytes], files: dict[str, str], keyring: Keyring | None = None
) -> Path:
    """A backup whose configuration is that archive, whole by every digest; `keyring` gives it a MAC."""
    folder = repository / ID
    folder.mkdir(parents=True)
    archive = folder / f"config-{ID}.tar.zst"
    with PackedWriter(archive) as file:
        for piece in pieces:
            file.write(piece)
    part = {"bytes": file.bytes, "raw_bytes": file.raw_bytes, "sha256": file.sha256}
    described(folder, json.dumps(manifest(files, part)).encode(), keyring)
    return folder


def described(folder: Path, text: bytes, keyring: Keyring | None = None) -> None:
    """Give a folder that manifest, and digests that fit."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST).write_bytes(text)
    (folder / MAC).unlink(missing_ok=True)
    if keyring is not None:
        (folder / MAC).write_bytes(keyring.mac(text))
    fitting(folder)


def fitting(folder: Path) -> None:
    """Give a folder digests that fit what is in it."""
    listed = sorted(p for p in folder.iterdir() if p.name not in {SUMS, MAC})
    (folder / SUMS).write_text("".join(f"{file_sha256(path)}  {path.name}\n" for path in listed))


def archives(victim: Path, inside: str) -> dict[str, Callable[[], tuple[Iterable[bytes], dict[str, str]]]]:
    """By what is wrong with it: the pieces of an archive, and the files of its manifest.

    `victim` is a file that must never be written; `inside` is the archive's name of a folder that comes back.
    """

    def plain(*pieces: bytes) -> Callable[[], tuple[Iterable[bytes], dict[str, str]]]:
        whole = (*pieces, END)
        return lambda: (whole, names_of(whole))

    def unlisted(*pieces: bytes) -> Callable[[], tuple[Iterable[bytes], dict[str, str]]]:
        """With a manifest in which every name is one that is restored."""
        return lambda: ((*pieces, END), {f"{inside}/file": hashlib.sha256(PAYLOAD).hexdigest()})

    up = "../" * 40 + str(victim).lstrip("/")
    through = f"{inside}/way"
    return {
        "an absolute name": plain(entry(str(victim))),
        "an absolute name that the manifest hides": unlisted(entry(str(victim))),
        "an empty part below templates": plain(entry(f"templates/{victim}")),
        "an empty part below api-keys": plain(entry(f"api-keys/{victim}")),
        "dots that lead up": plain(entry(f"{inside}/{up}")),
        "dots that lead up in an extended header": unlisted(entry(f"{inside}/" + "x/" * 60 + up)),
        "a dot": plain(entry(f"{inside}/./file")),
        "a symbolic link": plain(entry(f"{inside}/link", b"", tarfile.SYMTYPE, linkname=str(victim))),
        "a symbolic link, then a file through it": unlisted(
            entry(through, b"", tarfile.SYMTYPE, linkname=str(victim.parent)),
            entry(f"{through}/{victim.name}"),
        ),
        "a symbolic link, then a file of its name": unlisted(
            entry(f"{inside}/file", b"", tarfile.SYMTYPE, linkname=str(victim)), entry(f"{inside}/file")
        ),
        "a hard link": plain(entry(f"{inside}/link", b"", tarfile.LNKTYPE, linkname="/etc/passwd")),
        "a device": plain(entry(f"{inside}/null", b"", tarfile.CHRTYPE, devmajor=1, devminor=3)),
        "a disk": plain(entry(f"{inside}/disk", b"", tarfile.BLKTYPE, devmajor=8)),
        "a pipe": plain(entry(f"{inside}/pipe", b"", tarfile.FIFOTYPE)),
        "a sparse file": unlisted(header(f"{inside}/file", GIB, tarfile.GNUTYPE_SPARSE)),
        "the same name twice": plain(entry(f"{inside}/file", b"first"), entry(f"{inside}/file")),
        "another name than the manifest's": unlisted(entry(f"{inside}/other")),
        "another content than the manifest's": unlisted(entry(f"{inside}/file", b"other")),
        "something after its end": lambda: (
            (entry(f"{inside}/file"), END, entry(f"{inside}/other"), END),
            names_of([entry(f"{inside}/file"), END]),
        ),
        "a member of a terabyte": unlisted(header(f"{inside}/file", 1024 * GIB, tarfile.REGTYPE)),
        "a name of a terabyte": unlisted(header("././@LongLink", 1024 * GIB, tarfile.GNUTYPE_LONGNAME)),
        "an extended header of a terabyte": unlisted(header("pax", 1024 * GIB, tarfile.XHDTYPE)),
        "a global header": unlisted(
            entry("pax", b"16 path=/etc/xx\n", tarfile.XGLTYPE), entry(f"{inside}/file")
        ),
        "no tar at all": lambda: ((b"nothing of that kind" * 100,), {}),
        "nothing": lambda: ((), {}),
    }  # fmt: skip


def million(inside: str, count: int = 1_000_000) -> Iterator[bytes]:
    """An archive of that many empty files: 512 MB that pack to some MB."""
    info = tarfile.TarInfo(f"{inside}/00000000")
    template = info.tobuf(tarfile.USTAR_FORMAT)
    at = template.index(b"00000000")
    head, tail = template[:at], template[at + 8 : 148]
    rest = template[156:]
    base = sum(head) + sum(tail) + sum(rest) + 8 * 0x20
    for start in range(0, count, 10_000):
        piece = []
        for number in range(start, start + 10_000):
            digits = b"%08d" % number
            piece.append(head + digits + tail + b"%06o\0 " % (base + sum(digits)) + rest)
        yield b"".join(piece)
    yield END


def bomb(name: str, size: int) -> Iterator[bytes]:
    """A file of zeros: a gigabyte packs to some 32 KB."""
    yield header(name, size, tarfile.REGTYPE)
    piece = bytes(16 * 1024 * 1024)
    for _ in range(size // len(piece)):
        yield piece
    yield END


def nested(depth: int = 200_000) -> bytes:
    """A manifest as deep as that, which Python's JSON reader does not come back from."""
    text = json.dumps(manifest({"deep": "DEEP"}))
    return text.replace('"DEEP"', "[" * depth + "]" * depth).encode()


WRONG_VALUES: tuple[Any, ...] = (
    None, True, -1, 2**70, 1.5, "", "x", "../../etc/passwd", "\ud800", [], [[]], {}, {"": {}}, ["x"],
    {"x": "y"},
)  # fmt: skip


def spoiled(whole: dict[str, Any]) -> Iterator[bytes]:
    """The manifest with one value after the other replaced by each wrong one, and left out."""
    paths = list(_paths(whole))
    for path in paths:
        for value in (*WRONG_VALUES, ...):
            changed = json.loads(json.dumps(whole))
            holder = changed
            for key in path[:-1]:
                holder = holder[key]
            if value is ...:
                del holder[path[-1]]
            else:
                holder[path[-1]] = value
            yield json.dumps(changed).encode()
    yield b""
    yield b"\xff\xfe"
    yield b"[]"
    yield b"null"
    yield json.dumps(whole).encode().replace(b"0.1", b"1e999")
    yield json.dumps(whole).encode().replace(b"0.1", b"NaN")


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    members = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, below in members:
        yield (*path, key)
        yield from _paths(below, (*path, key))
