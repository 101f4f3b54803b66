"""Orders of certificates that are under way, on disk: a run that was killed is gone on with from there."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from techsapo_ops.adapters.files import private_folder, remove_file, write_atomic
from techsapo_ops.certs.challenges import Proof
from techsapo_ops.certs.material import PrivateKey, PublicKey, key_pem, new_key
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg

KEYED, ORDERED, ANSWERING, FINALIZED = "keyed", "ordered", "answering", "finalized"
"""Phases of an order, in their sequence."""


@dataclass(frozen=True, slots=True)
class Pending:
    """An order under way."""

    directory: str
    names: tuple[str, ...]
    phase: str
    url: str = ""
    proofs: tuple[Proof, ...] = ()


class Orders:
    """The orders under way, NAME.json and NAME.key (0600) in a folder below `root` (0700)."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._folder = root / "orders"

    def load(self, name: str) -> tuple[Pending, PrivateKey] | None:
        """The order of certificate `name`, None where none is under way or what is left can't be read."""
        try:
            key = serialization.load_pem_private_key(self._key(name).read_bytes(), None)
            found: dict[str, Any] = json.loads(self._file(name).read_text(encoding="utf-8"))
            proofs = tuple(Proof(**proof) for proof in found.pop("proofs"))
            pending = Pending(**{**found, "names": tuple(found["names"]), "proofs": proofs})
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None
        except OSError as error:
            raise OpsError(
                msg(
                    "cannot read the order in {folder}: {strerror}",
                    folder=self._folder,
                    strerror=error.strerror,
                )
            ) from None
        if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
            return None
        return pending, key

    def begin(self, name: str, pending: Pending) -> PrivateKey:
        """Make the key of a new order. Raises OpsError when it can't be kept."""
        private_folder(self._folder, self._root)
        key = new_key()
        write_atomic(self._key(name), key_pem(key), 0o600)
        self.save(name, pending)
        return key

    def save(self, name: str, pending: Pending) -> None:
        """Note how far an order is. Raises OpsError when it can't be written."""
        write_atomic(self._file(name), f"{json.dumps(asdict(pending), indent=2)}\n".encode(), 0o600)

    def settle(self, name: str, stored: PublicKey | None) -> None:
        """Forget an order whose certificate is `stored` already: its run was killed in between."""
        found = self.load(name)
        if found is not None and found[1].public_key() == stored:
            self.drop(name)

    def drop(self, name: str) -> None:
        """Forget an order, when its certificate is stored or it has come to nothing."""
        remove_file(self._file(name))
        remove_file(self._key(name))

    def _file(self, name: str) -> Path:
        return self._folder / f"{name}.json"

    def _key(self, name: str) -> Path:
        return self._folder / f"{name}.key"
