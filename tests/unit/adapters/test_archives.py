"""Archives and packed files come back as they were, and damaged ones end with one kind of error."""

from __future__ import annotations

import hashlib
import io
import os
import random
import subprocess
import tarfile
from collections import deque
from contextlib import suppress
from pathlib import Path

import pytest
from rows import each_row

from techsapo_ops.adapters.packed import PackedReader, PackedWriter, Stream
from techsapo_ops.adapters.tarball import ArchiveError, entries
from techsapo_ops.errors import OpsError

FILES = {
    "plain": b"content",
    "empty": b"",
    "長い名前/" + "か" * 60 + "/ファイル": b"\0" * 1000,
    "/".join(["deep"] * 60): bytes(range(256)) * 4096,
    "x" * 150: b"y",
}
FORMATS = {"pax": tarfile.PAX_FORMAT, "gnu": tarfile.GNU_FORMAT}


def archive(form: str, folder: Path) -> bytes:
    if form in FORMATS:
        target = io.BytesIO()
        with tarfile.open(fileobj=target, mode="w", format=FORMATS[form]) as tar:
            for name, content in FILES.items():
                info = tarfile.TarInfo(name)
                info.size, info.mtime, info.mode = len(content), 1.5, 0o6750
                tar.addfile(info, io.BytesIO(content))
        return target.getvalue()
    for name, content in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(0o6750)
    argv = ["tar", form, "-cf", "-", "-C", folder, "."]
    return subprocess.run(argv, check=True, capture_output=True).stdout


def read(packed: Path) -> dict[str, tuple[bytes, int]]:
    return {
        entry.name: (b"".join(content), entry.mode)
        for entry, content in entries(Stream(PackedReader(packed)), most=1000)
        if not entry.folder
    }


def pack(content: bytes, path: Path) -> Path:
    path.unlink(missing_ok=True)
    with PackedWriter(path) as file:
        file.write(content)
    return path


@each_row("form", [*FORMATS, "--format=gnu", "--format=posix"])
def test_archives_of_python_and_of_gnu_tar_are_read_without_their_special_modes(
    form: str, tmp_path: Path
) -> None:
    (tmp_path / "files").mkdir()
    packed = pack(archive(form, tmp_path / "files"), tmp_path / "packed.zst")
    assert read(packed) == {name: (content, 0o750) for name, content in FILES.items()}


def test_what_is_damaged_anywhere_ends_with_one_kind_of_error(tmp_path: Path) -> None:
    """Of 100 archives and of 100 packed files with a few bytes changed, from one seed."""
    chance = random.Random(12)
    whole = archive("pax", tmp_path)
    packed = pack(whole, tmp_path / "packed.zst").read_bytes()
    for number in range(200):
        data = bytearray(whole if number % 2 else packed)
        for _ in range(chance.choice((1, 3, 20))):
            data[chance.randrange(min(len(data), 8192))] = chance.randrange(256)
        path = tmp_path / "spoiled.zst"
        if number % 2:
            pack(bytes(data), path)
        else:
            path.write_bytes(data)
        with suppress(ArchiveError, OpsError):  # some changes do not matter
            read(path)


def test_the_end_comes_only_where_the_digest_is_the_expected_one(tmp_path: Path) -> None:
    content = random.Random(1).randbytes(3_000_000)
    path = pack(content, tmp_path / "packed.zst")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert b"".join(PackedReader(path, limit=len(content), expected=digest)) == content
    given = bytearray()
    with pytest.raises(OpsError, match="SHA-256 differs"):
        deque(map(given.extend, PackedReader(path, expected="0" * 64)))
    assert 0 < len(given) < len(content)
    with pytest.raises(OpsError, match="is larger than the 2999999 bytes"):
        list(PackedReader(path, limit=len(content) - 1))
    with pytest.raises(OpsError, match="SHA-256 differs"):
        PackedReader(path, expected="0" * 64).copied(tmp_path / "copy")


CONTENT = os.urandom(3_000_000) + bytes(5_000_000)


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    path = tmp_path / "content.zst"
    with PackedWriter(path) as file:
        for at in range(0, len(CONTENT), 777_777):
            file.write(CONTENT[at : at + 777_777])
    return path


@each_row("size", [10_240, 999_983, 50_000_000])
def test_a_stream_gives_pieces_of_the_size_that_was_asked_until_the_end(packed: Path, size: int) -> None:
    stream = Stream(PackedReader(packed))
    found = []
    while piece := stream.read(size):
        found.append(piece)
    assert {len(piece) for piece in found[:-1]} <= {size}
    assert b"".join(found) == CONTENT
    assert stream.read(size) == b""
