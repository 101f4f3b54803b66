"""A restic repository whose password is tried in no time.

restic makes a password slow to try: each command spends half a second of a processor on scrypt before it
reads anything, and a lab has a hundred of them. The key file says by which parameters, so another one that
asks for little holds the same master key for the same password. What a command does with the repository, and
that a wrong password opens nothing, is as before. Source: restic's docs, "Keys, Encryption and MAC".
"""

from __future__ import annotations

import atexit
import hashlib
import json
import os
import secrets
import shutil
import subprocess
import tempfile
from base64 import b64decode, b64encode
from functools import cache
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.poly1305 import Poly1305
from servers import binary

_LITTLE = 16
_FIRST = "of an empty repository"


def quick_repository(place: Path, password: str) -> None:
    """Make the local repository `place`, before its first backup, with a key that is quick to try.

    All of them have the same id and the same master key.
    """
    shutil.copytree(_empty_repository(), place)
    _rewrite(place, _FIRST, password)


def quicken(place: Path, password: str) -> None:
    """Put the one key of the local repository `place` into a file that asks for next to no work."""
    _rewrite(place, password, password)


@cache
def _empty_repository() -> Path:
    """What `restic init` makes, once for this process: it first measures how slow it may be."""
    top = Path(tempfile.mkdtemp(prefix="techsapo-lab-restic-"))
    atexit.register(shutil.rmtree, top)
    argv = [binary("restic"), "--no-cache", "--quiet", "--repo", str(top / "made"), "init"]
    subprocess.run(argv, env={**os.environ, "RESTIC_PASSWORD": _FIRST}, check=True, timeout=120)
    quicken(top / "made", _FIRST)
    return top / "made"


def _rewrite(place: Path, before: str, password: str) -> None:
    """Let `password` open the repository that `before` opens, by a key that asks for little."""
    (file,) = (place / "keys").iterdir()
    key: dict[str, Any] = json.loads(file.read_bytes())
    master = _opened(b64decode(key["data"]), _derived(key, before))
    key["N"] = _LITTLE
    key["data"] = b64encode(_sealed(master, _derived(key, password))).decode()
    content = json.dumps(key).encode()
    (place / "keys" / hashlib.sha256(content).hexdigest()).write_bytes(content)
    file.chmod(0o600)
    file.unlink()


def _derived(key: dict[str, Any], password: str) -> bytes:
    """Key of the cipher, and both of the code of authentication."""
    return hashlib.scrypt(
        password.encode(), salt=b64decode(key["salt"]), n=key["N"], r=key["r"], p=key["p"], dklen=64,
        maxmem=1 << 30,
    )  # fmt: skip


def _opened(data: bytes, keys: bytes) -> bytes:
    nonce, sealed, code = data[:16], data[16:-16], data[-16:]
    Poly1305.verify_tag(_once(nonce, keys), sealed, code)
    return _crypted(sealed, nonce, keys)


def _sealed(plain: bytes, keys: bytes) -> bytes:
    nonce = secrets.token_bytes(16)
    sealed = _crypted(plain, nonce, keys)
    return nonce + sealed + Poly1305.generate_tag(_once(nonce, keys), sealed)


def _crypted(data: bytes, nonce: bytes, keys: bytes) -> bytes:
    return Cipher(algorithms.AES(keys[:32]), modes.CTR(nonce)).encryptor().update(data)


def _once(nonce: bytes, keys: bytes) -> bytes:
    """Poly1305-AES: the key of one message."""
    block = Cipher(algorithms.AES(keys[32:48]), modes.ECB()).encryptor()  # noqa: S305 - as Poly1305-AES has it
    return keys[48:64] + block.update(nonce)
