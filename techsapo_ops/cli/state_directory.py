"""The state directory beside a spec, which is found without reading the spec."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from techsapo_ops.adapters.folders import STATE_DIRECTORY
from techsapo_ops.cli.trusted_project import require_trust
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.spec.edition import FIRST, LATEST, Edition
from techsapo_ops.stack.layout import Layout


def layout_beside(file: Path, *, trusted: bool = True) -> Layout:
    """The directories of the stack beside the spec `file`; the spec itself is not read.

    Raises UntrustedError where others could change them; `trusted=False` is for who sees to that otherwise.
    """
    if trusted:
        require_trust(file)
    path = file.resolve()
    state = path.parent / STATE_DIRECTORY
    return Layout(state=state, config=state / "generated", spec=path)


def began_with(state: Path) -> Edition:
    """The edition that the stack with the state directory `state` began with; of a new one, the latest.

    With applies but without a note it is from before there were editions: the first. Raises OpsError for a
    note that can't be read.
    """
    note = Layout(state, state).edition_note
    try:
        text = note.read_text("utf-8").strip()
    except FileNotFoundError:
        return FIRST if _applied(state / "ledger") else LATEST
    except (OSError, UnicodeDecodeError) as error:
        raise OpsError(
            msg("cannot read {note}: {error}", note=note, error=error), msg("run as the user who ran `up`")
        ) from None
    if not text.isascii() or not text.isdigit() or int(text) < FIRST:
        raise OpsError(
            msg("{note} names no edition of the defaults: {text}", note=note, text=repr(text[:20])),
            msg(
                "write {first} for a stack that was begun before there were editions, or else {latest}",
                first=FIRST,
                latest=LATEST,
            ),
        )
    return cast(Edition, min(int(text), LATEST))


def _applied(ledger: Path) -> bool:
    try:
        return any(ledger.glob("*.json"))
    except OSError as error:
        raise OpsError(
            msg("cannot read {ledger}: {strerror}", ledger=ledger, strerror=error.strerror),
            msg("run as the user who ran `up`"),
        ) from None
