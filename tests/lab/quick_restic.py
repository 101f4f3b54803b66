"""A repository of restic's that opens at once: by a key of `init`'s, each opening takes half a second."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.poly1305 import Poly1305

_CHEAP = {"N": 1024, "r": 1, "p": 1}


def quick_repository(place: Path, password: str) -> None:
    """Make an empty repository in the folder `place` whose password is cheap to check.

    Labs open theirs a hundred times, and prove nothing of how dear it is to guess the password.
    """
    environment = {**os.environ, "RESTIC_PASSWORD": password, "RESTIC_REPOSITORY": str(place)}
    subprocess.run(["restic", "--no-cache", "-q", "init"], env=environment, check=True, timeout=120)
    (path,) = (place / "keys").iterdir()
    key: dict[str, Any] = json.loads(path.read_bytes())
    data = base64.b64decode(key["data"])
    master = _crypt(_derived(key, password), data[:16], data[16:-16])
    key |= _CHEAP
    nonce, derived = os.urandom(16), _derived(key, password)
    hidden = _crypt(derived, nonce, master)
    key["data"] = base64.b64encode(nonce + hidden + _mac(derived, nonce, hidden)).decode()
    content = json.dumps(key).encode()
    path.unlink()
    path.with_name(hashlib.sha256(content).hexdigest()).write_bytes(content)


def _derived(key: dict[str, Any], password: str) -> bytes:
    salt = base64.b64decode(key["salt"])
    costs = {"n": key["N"], "r": key["r"], "p": key["p"]}
    return hashlib.scrypt(password.encode(), salt=salt, **costs, maxmem=1 << 30, dklen=64)


def _crypt(derived: bytes, nonce: bytes, data: bytes) -> bytes:
    return Cipher(algorithms.AES256(derived[:32]), modes.CTR(nonce)).encryptor().update(data)


def _mac(derived: bytes, nonce: bytes, data: bytes) -> bytes:
    """Poly1305-AES, the form of it that restic has."""
    once = Cipher(algorithms.AES128(derived[32:48]), modes.ECB()).encryptor().update(nonce)  # noqa: S305 - one block
    return Poly1305.generate_tag(derived[48:64] + once, data)
