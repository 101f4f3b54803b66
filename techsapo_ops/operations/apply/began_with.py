"""Which edition of the defaults a stack began with: noted in its state directory before its first apply."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from techsapo_ops.adapters.files import write_atomic
from techsapo_ops.errors import OpsError
from techsapo_ops.spec.edition import FIRST, LATEST, Edition
from techsapo_ops.stack.layout import Layout


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
        raise OpsError(f"cannot read {note}: {error}", "run as the user who ran `up`") from None
    if not text.isascii() or not text.isdigit() or int(text) < FIRST:
        raise OpsError(
            f"{note} names no edition of the defaults: {text[:20]!r}",
            f"write {FIRST} for a stack that was begun before there were editions, or else {LATEST}",
        )
    return cast(Edition, min(int(text), LATEST))


def note_edition(layout: Layout) -> None:
    """Note which edition the stack began with, unless it is noted. Raises OpsError where that fails."""
    if not layout.edition_note.exists():
        write_atomic(layout.edition_note, f"{layout.began_with}\n".encode(), 0o644)


def _applied(ledger: Path) -> bool:
    try:
        return any(ledger.glob("*.json"))
    except OSError as error:
        raise OpsError(f"cannot read {ledger}: {error.strerror}", "run as the user who ran `up`") from None
