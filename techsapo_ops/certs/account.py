"""The account at an ACME server: its key is made before anything is asked, and kept."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from techsapo_ops.adapters.acme import AcmeError, AcmeServer
from techsapo_ops.adapters.acme_messages import Binding
from techsapo_ops.adapters.files import private_folder, write_atomic
from techsapo_ops.certs.material import key_pem, new_key
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg

_KEY, _FACTS = "account.key", "account.json"
_UNFIT = re.compile(r"[^A-Za-z0-9.-]+")
_REQUIRED = "externalAccountRequired"
_ABOUT_BINDING = {_REQUIRED, "unauthorized", "malformed"}
"""What CAs answer to an account that is not bound as they want; RFC 8555 names the first alone."""

_Result = TypeVar("_Result")


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


class Account:
    """One account, in a folder of its own below `root` (0700): account.key (0600) and account.json.

    `contact` is an e-mail address. The binding of `ca` is used when the account is made, which is then the
    CA's for good: another key id means another account. `spec_path` is the certificate's, for words.
    """

    def __init__(
        self,
        root: Path,
        ca: AcmeCa,
        contact: str | None,
        *,
        spec_path: str = "certificates.NAME",
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.folder = ca.folder(root)
        self.directory = ca.directory
        self._root = root
        self._contact = contact
        self._ca_file = ca.ca_file
        self._binding = ca.binding
        self._spec_path = spec_path
        self._say = say
        self.server = AcmeServer(ca.directory, self._key(), ca_file=ca.ca_file)

    def ask(self, question: Callable[[AcmeServer], _Result]) -> _Result:
        """Answer `question` as this account, which is registered first where it is not yet.

        A server that does not know the account any more gets it anew with the same key; where the account
        was closed for good, which a key does not survive, with a fresh one. Raises AcmeError.
        """
        self._sign_in()
        try:
            return question(self.server)
        except AcmeError as error:
            if error.code == "accountDoesNotExist":
                self._say(
                    msg("{host} does not know the account any more: making it anew", host=self.server.host)
                )
                self._register()
            elif error.code == "unauthorized" and self._closed():
                self._say(msg("the account at {host} was closed: making another", host=self.server.host))
                self._retire()
                self._register()
            else:
                raise
        return question(self.server)

    def _sign_in(self) -> None:
        facts = self._facts()
        if facts is None:
            self._register()
            return
        url, contact = facts
        self.server.use(url)
        if contact != self._contact:
            self._tell_contact(url)

    def _tell_contact(self, url: str) -> None:
        """Tell the server the contact of the spec; where it does not take it now, the next run tells it."""
        try:
            self.server.update_contact(url, self._contact)
        except AcmeError as error:
            if error.code not in {"accountDoesNotExist", "unauthorized"}:  # `ask` finds out and fixes these
                self._say(
                    msg(
                        "{host} was not told the new contact: {message}",
                        host=self.server.host,
                        message=error.message,
                    )
                )
            return
        self._save(url)

    def _register(self) -> None:
        try:
            url = self.server.register(self._contact, self._binding)
        except AcmeError as error:
            raise self._explained(error) from None
        self._save(url)

    def _explained(self, error: AcmeError) -> AcmeError:
        """`error` of a registration, with what to set in the spec where the binding is missing or wrong."""
        if error.code not in _ABOUT_BINDING:
            return error
        path = self._spec_path
        if self._binding is not None:
            hint = msg(
                "compare {path}.eab_key_id and its HMAC key with what the CA's site shows; some expire",
                path=path,
            )
        elif error.code == _REQUIRED or self.server.wants_binding():
            hint = msg(
                "this CA wants an account at its site first: set {path}.eab_key_id and "
                "{path}.eab_hmac_key_file to what is shown there",
                path=path,
            )
        else:
            return error
        return AcmeError(error.message, hint, code=error.code, retry_at=error.retry_at)

    def _closed(self) -> bool:
        """Whether the server refuses the key itself, and not only what was asked with it."""
        try:
            self.server.register(self._contact)
        except AcmeError as error:
            return error.code == "unauthorized"
        return False

    def _retire(self) -> None:
        number = len(list(self.folder.glob(f"{_KEY}.closed-*"))) + 1
        (self.folder / _KEY).rename(self.folder / f"{_KEY}.closed-{number}")
        (self.folder / _FACTS).unlink(missing_ok=True)
        self.server = AcmeServer(self.directory, self._key(), ca_file=self._ca_file)

    def _key(self) -> bytes:
        path = self.folder / _KEY
        try:
            return path.read_bytes()
        except FileNotFoundError:
            pass
        except OSError as error:
            raise OpsError(
                msg(
                    "cannot read the ACME account's key {path}: {strerror}",
                    path=path,
                    strerror=error.strerror,
                )
            ) from None
        private_folder(self.folder, self._root)
        key = key_pem(new_key())
        write_atomic(path, key, 0o600)
        return key

    def _facts(self) -> tuple[str, str | None] | None:
        try:
            found = json.loads((self.folder / _FACTS).read_text(encoding="utf-8"))
            return str(found["url"]), found["contact"]
        except FileNotFoundError:
            return None
        except OSError as error:
            raise OpsError(
                msg("cannot read {folder}: {strerror}", folder=self.folder / _FACTS, strerror=error.strerror)
            ) from None
        except (ValueError, KeyError, TypeError):
            return None  # the server tells the URL again for the same key

    def _save(self, url: str) -> None:
        facts = {"url": url, "contact": self._contact, "directory": self.directory}
        write_atomic(self.folder / _FACTS, f"{json.dumps(facts, indent=2)}\n".encode(), 0o600)
