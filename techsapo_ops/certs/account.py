"""The account at an ACME server: its key is written before anything is asked, and stays."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from techsapo_ops.adapters.acme import AcmeError, AcmeServer, Binding
from techsapo_ops.adapters.files import private_folder, write_atomic
from techsapo_ops.certs.material import key_pem, new_key
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg

_UNFIT = re.compile(r"[^A-Za-z0-9.-]+")
_REQUIRED = "externalAccountRequired"
_ABOUT_BINDING = {_REQUIRED, "unauthorized", "malformed"}
"""What CAs answer to an account that is not bound as they want; RFC 8555 names the first alone."""


@dataclass(frozen=True, slots=True)
class AcmeCa:
    """A CA that speaks ACME: where it is asked, the CA by which its server is known, and the `binding` to a
    customer of its own that it wants for a new account.
    """

    directory: str
    ca_file: Path | None = None
    binding: Binding | None = None

    def folder(self, root: Path) -> Path:
        """Where below `root` an account there is kept; for another customer's, it is another account."""
        whose = self.directory if self.binding is None else f"{self.directory} {self.binding.key_id}"
        digest = hashlib.sha256(whose.encode()).hexdigest()[:8]
        return root / "accounts" / f"{_UNFIT.sub('_', urlsplit(self.directory).netloc)}-{digest}"

    def server(self, root: Path) -> AcmeServer:
        """Its server, spoken to with the key in that folder (0700), which is made where there is none (0600).

        Raises OpsError when the key can't be read or written.
        """
        path = self.folder(root) / "account.key"
        if not path.exists():
            private_folder(path.parent, root)
            write_atomic(path, key_pem(new_key()), 0o600)
        try:
            return AcmeServer(self.directory, path.read_bytes(), ca_file=self.ca_file)
        except OSError as error:
            raise OpsError(
                msg(
                    "cannot read the ACME account's key {path}: {strerror}",
                    path=path,
                    strerror=error.strerror,
                )
            ) from None

    def signed_in(self, root: Path, contact: str | None, spec_path: str) -> AcmeServer:
        """Its server, spoken to as the account, which is made where the CA has none.

        `contact` is an e-mail address. The binding is used when the account is made, which is then the CA's
        for good. `spec_path` is the certificate's, for words. Raises OpsError, AcmeError.
        """
        server = self.server(root)
        try:
            server.sign_in(contact, self.binding)
        except AcmeError as error:
            if error.code not in _ABOUT_BINDING:
                raise
            hint = error.hint
            if self.binding is not None:
                hint = msg(
                    "compare {path}.eab_key_id and its HMAC key with what the CA's site shows; some expire",
                    path=spec_path,
                )
            elif error.code == _REQUIRED:
                hint = msg(
                    "this CA wants an account at its site first: set {path}.eab_key_id and "
                    "{path}.eab_hmac_key_file to what is shown there",
                    path=spec_path,
                )
            elif error.code == "unauthorized":
                hint = msg(
                    "where the account was closed, remove {folder}: another is then made",
                    folder=self.folder(root),
                )
            raise AcmeError(error.message, hint, code=error.code, retry_at=error.retry_at) from None
        return server
