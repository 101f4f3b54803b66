"""Where certificates are kept: one folder each, with numbered versions and a link to the one in use.

    NAME/fullchain.pem -> live/fullchain.pem      what nginx, health and openssl read
    NAME/privkey.pem   -> live/privkey.pem
    NAME/live          -> versions/0002           swapped by one rename, so key and chain change together
    NAME/versions/0001, 0002, …                   each privkey.pem (0600), fullchain.pem (0644), origin.json
    NAME/state.json                               what is remembered between two runs

A version is written under a name that begins with a dot and renamed when it is whole, so a version that has
a number is complete, however the process that made it ended.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from techsapo_ops.adapters.files import sync_directory, write_atomic
from techsapo_ops.adapters.folders import read_error
from techsapo_ops.certs.material import Pair
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg


@dataclass(frozen=True, slots=True)
class CertificateState:
    """The history of one certificate. Times are aware."""

    deployed: int | None = None
    """The version that nginx was last seen to serve, or was given while it did not run."""
    hooks_pending: bool = False
    """Whether the deploy hooks of that version are still to be run."""
    renewed_at: datetime | None = None
    """When the newest version was made or taken over."""
    failures: int = 0
    """Attempts that failed, ever."""
    failure: str = ""
    """Why the last attempt failed; "" when it did not."""
    retry_at: datetime | None = None
    """Until then the CA does not want to be asked."""
    suggested_at: datetime | None = None
    """When the CA wants the certificate with `suggested_serial` to be renewed."""
    suggested_serial: str = ""
    ask_again_at: datetime | None = None
    """Until then the CA is not asked again when that is."""
    revoked: int | None = None
    """The version that was revoked last."""


_TIMES = ("renewed_at", "retry_at", "suggested_at", "ask_again_at")


def load_state(path: Path) -> CertificateState:
    """The state at `path`; the empty one where there is none. Raises OpsError when it can't be read."""
    try:
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        known = {k: v for k, v in data.items() if k in CertificateState.__slots__}
        for key in _TIMES:
            known[key] = _time(known.get(key))
        return CertificateState(**known)
    except FileNotFoundError:
        return CertificateState()
    except OSError as error:
        raise OpsError(msg("cannot read {path}: {strerror}", path=path, strerror=error.strerror)) from None
    except (ValueError, TypeError, KeyError, AttributeError):
        raise OpsError(
            msg("{path} is damaged", path=path),
            msg("remove the file: only the certificate's history is lost"),
        ) from None


def save_state(path: Path, state: CertificateState) -> None:
    """Write `state`. Raises OpsError when it can't be written."""
    text = json.dumps(asdict(state), default=lambda v: v.isoformat(timespec="seconds"), indent=2)
    write_atomic(path, f"{text}\n".encode())


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text is not None else None


CHAIN, KEY = "fullchain.pem", "privkey.pem"
_ORIGIN = "origin.json"
_MAX_VERSIONS = 3


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a version came from. `directory` is that of the ACME server, "" for other sources."""

    source: str
    directory: str = ""


@dataclass(frozen=True, slots=True)
class Version:
    """One stored certificate."""

    number: int
    directory: Path
    origin: Origin

    @property
    def pair(self) -> Pair:
        """Its key and chain. Raises OpsError when they can't be read."""
        return read_pair(self.directory / KEY, self.directory / CHAIN)

    @property
    def intact(self) -> Pair | None:
        """Its key and chain, None when they are damaged or gone: then another has to take its place."""
        try:
            return self.pair.intact
        except OpsError:
            return None


class Store:
    """The versions of one certificate, in its own folder."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.name = directory.name
        self.chain = directory / CHAIN
        self._versions = directory / "versions"
        self._live = directory / "live"

    @property
    def state(self) -> CertificateState:
        """What is remembered. Raises OpsError when it can't be read."""
        return load_state(self.directory / "state.json")

    def remember(self, state: CertificateState) -> None:
        """Replace what is remembered. Raises OpsError when it can't be written."""
        save_state(self.directory / "state.json", state)

    def versions(self) -> tuple[Version, ...]:
        """Every complete version, the oldest first."""
        try:
            numbers = sorted(int(p.name) for p in self._versions.iterdir() if p.name.isdigit())
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise OpsError(
                msg("cannot read {versions}: {strerror}", versions=self._versions, strerror=error.strerror)
            ) from None
        return tuple(self._version(n) for n in numbers)

    def newest(self) -> Version | None:
        """The version made last, in use or not."""
        versions = self.versions()
        return versions[-1] if versions else None

    def live(self) -> Version | None:
        """The version in use; None while any of the links that lead to it is missing."""
        if not self.chain.exists() or not (self.directory / KEY).exists():
            return None
        try:
            number = Path(os.readlink(self._live)).name  # noqa: PTH115 - the link's text, not where it leads
        except FileNotFoundError:
            return None
        except OSError as error:
            raise OpsError(
                msg("cannot read {live}: {strerror}", live=self._live, strerror=error.strerror)
            ) from None
        return self._version(int(number)) if number.isdigit() else None

    def find(self, number: int | None) -> Version | None:
        """The version of that number, where it still is there."""
        return next((v for v in self.versions() if v.number == number), None)

    def put(self, pair: Pair, origin: Origin) -> Version:
        """Store a new version, not yet in use. Raises OpsError when it can't be written; nothing is left."""
        temporary: Path | None = None
        try:
            self._versions.mkdir(parents=True, exist_ok=True)
            self._sweep()
            temporary = Path(tempfile.mkdtemp(prefix=".new-", dir=self._versions))
            temporary.chmod(0o755)
            write_atomic(temporary / KEY, pair.key, 0o600)
            write_atomic(temporary / CHAIN, pair.chain, 0o644)
            write_atomic(temporary / _ORIGIN, f"{json.dumps(asdict(origin))}\n".encode())
            newest = self.newest()
            number = newest.number + 1 if newest is not None else 1
            target = self._versions / f"{number:04}"
            temporary.rename(target)  # fails where someone else was faster: a full folder is not replaced
            temporary = None
            sync_directory(self._versions)
        except OSError as error:
            raise OpsError(
                msg(
                    "cannot store certificate {name} in {versions}: {strerror}",
                    name=self.name,
                    versions=self._versions,
                    strerror=error.strerror,
                ),
                msg(
                    "check who owns the folder and that the disk has room; the certificate in use is "
                    "untouched"
                ),
            ) from None
        finally:
            if temporary is not None:
                shutil.rmtree(temporary, ignore_errors=True)
        return Version(number, target, origin)

    def activate(self, version: Version) -> None:
        """Make `version` the one in use, by one rename. Raises OpsError when that is not possible."""
        try:
            _link(self._live, f"versions/{version.directory.name}")
            for name in (CHAIN, KEY):
                path = self.directory / name
                if not path.is_symlink():
                    _link(path, f"live/{name}")
        except OSError as error:
            raise OpsError(
                msg(
                    "cannot put certificate {name} in place: {strerror}",
                    name=self.name,
                    strerror=error.strerror,
                ),
                msg("check who owns the folder; the certificate in use is untouched"),
            ) from None

    def prune(self) -> None:
        """Remove all versions but the newest few and the one in use."""
        live = self.live()
        for version in self.versions()[:-_MAX_VERSIONS]:
            if live is None or version.number != live.number:
                shutil.rmtree(version.directory, ignore_errors=True)

    def _version(self, number: int) -> Version:
        directory = self._versions / f"{number:04}"
        origin: dict[str, Any] = {}
        with contextlib.suppress(OSError, ValueError):  # without its origin it still is a certificate
            origin = json.loads((directory / _ORIGIN).read_text(encoding="utf-8"))
        return Version(
            number, directory, Origin(str(origin.get("source", "")), str(origin.get("directory", "")))
        )

    def _sweep(self) -> None:
        for left in self._versions.glob(".new-*"):  # of a run that was killed
            shutil.rmtree(left, ignore_errors=True)


def read_pair(key: Path, chain: Path) -> Pair:
    """Key and chain from two files. Raises OpsError naming the one that can't be read."""
    content = []
    for path in (key, chain):
        try:
            content.append(path.read_bytes())
        except OSError as error:
            raise read_error(path, error) from None
    return Pair(content[0], content[1], where=str(chain))


def _link(path: Path, target: str) -> None:
    """Make `path` a link to `target`, in place of whatever file or link it was."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    temporary.replace(path)
    sync_directory(path.parent)
