"""Why an instance of the app would not start: one list for `validate`, `plan`, `up` and the app itself."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from techsapo_ops.adapters.address import Address
from techsapo_ops.adapters.files import read_text
from techsapo_ops.adapters.held import bind_error
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import joined, msg
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.models.app import Auth
from techsapo_ops.stack.address import listen_host
from techsapo_ops.stores.audit.spool import NAME as SPOOL
from techsapo_ops.stores.keys import KeyFile, KeyRing
from techsapo_ops.wallbounce.providers.registry import look_up, no_provider
from techsapo_ops.wallbounce.verdict.calibration import Calibration, loads


@dataclass(frozen=True, slots=True)
class StartProblem:
    """One reason not to start: where in the spec (dotted), what is wrong, and what to try."""

    path: str
    message: str
    hint: str = ""


def start_problems(
    spec: Spec, auth: Auth, disabled: Mapping[str, str], weights: Path | None
) -> tuple[StartProblem, ...]:
    """Every reason in `spec`, its keys and its files for which an instance would refuse to start.

    `auth` has its defaults and the file of keys filled in; `disabled` are the providers that the loader left
    out, `weights` is the file of the calibration. Nothing is made or changed.
    """

    def problems() -> Iterator[StartProblem]:
        if (error := no_provider(look_up(spec, disabled))) is not None:
            yield _problem("providers", error)
        if auth.keys_file is not None:
            file = KeyFile(Path(auth.keys_file))
            if (error := no_key(KeyRing(file), file, auth)) is not None:
                yield _problem("app.auth", error)
        if weights is not None:
            try:
                read_calibration(weights)
            except OpsError as unread:
                yield _problem("wallbounce.calibration", unread)

    return tuple(problems())


def place_problems(folders: Sequence[Path], addresses: Sequence[Address]) -> Iterator[StartProblem]:
    """Why an instance that runs as the user who asks could not have its data folder or its address.

    A port that is taken is no reason, since its holder may be asked to go.
    """
    for folder in folders:
        if (error := unusable_data(folder)) is not None:
            yield _problem("", error)
    for address in addresses:
        if (error := unusable_address(address)) is not None:
            yield _problem("app.port", error)


def require_start(problems: Sequence[StartProblem], *, what: str) -> None:
    """Raise OpsError with all of `problems`, if any; `what` says what that means for who asked."""
    if not problems:
        return
    hints = dict.fromkeys(problem.hint for problem in problems if problem.hint)
    reasons = joined("; ", (problem.message for problem in problems))
    raise OpsError(msg("{what}: {reasons}", what=what, reasons=reasons), joined("; ", hints))


def key_file(auth: Auth, default: Path) -> KeyFile:
    """The file of API keys."""
    return KeyFile(Path(auth.keys_file) if auth.keys_file else default)


def no_key(ring: KeyRing, file: KeyFile, auth: Auth) -> OpsError | None:
    """Why there must be a key first; None where the app starts without one, or has one."""
    if not (auth.required and auth.refuse_without_keys) or ring.active():
        return None
    return OpsError(
        ring.trouble or msg("requests need an API key and there is none in {path}", path=file.path),
        msg("`techsapo keys create NAME` makes an API key"),
    )


def read_calibration(file: Path) -> Calibration:
    """The fitted weights in `file`. Raises OpsError where it can't be read or is none."""
    return loads(read_text(file, what=msg("calibration")), str(file))


def unusable_data(data: Path) -> OpsError | None:
    """Why an instance of this user could not use the folder `data`, which need not be there yet."""
    there = next(folder for folder in (data, *data.parents) if os.path.lexists(folder))
    if not os.access(there, os.W_OK | os.X_OK):
        return OpsError(
            msg("cannot write to the data folder {data}", data=there),
            msg("check who owns the folder, or choose another one with --data"),
        )
    spool = data / SPOOL
    if os.path.lexists(spool) and not os.access(spool, os.R_OK | os.W_OK):
        return OpsError(msg("cannot read {directory}", directory=spool), msg("check who owns it"))
    return None


def unusable_address(address: Address) -> OpsError | None:
    """Why this user can't listen at `address`, whoever else does."""
    error = bind_error(listen_host(address.host), address.port)
    return None if error is None or error.errno == errno.EADDRINUSE else refused_address(address, error)


def refused_address(address: Address, error: OSError) -> OpsError:
    """What the kernel's `error` for `address` means."""
    where = msg("cannot listen on {host}:{port}", host=address.host, port=address.port)
    if error.errno == errno.EACCES:
        return OpsError(
            msg("{where}: ports below 1024 need root", where=where), msg("choose a port of 1024 or above")
        )
    return OpsError(msg("{where}: {strerror}", where=where, strerror=error.strerror), msg("check `app.host`"))


def _problem(path: str, error: OpsError) -> StartProblem:
    return StartProblem(path, error.message, error.hint or "")
