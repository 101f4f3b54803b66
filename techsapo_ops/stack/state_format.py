"""The format of a state directory: one number, which is noted before the first apply."""

from __future__ import annotations

from pathlib import Path

from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.stack.layout import Layout

FORMAT = 1


def note_format(layout: Layout) -> None:
    """Note the format, unless it is noted. Raises OpsError where that fails."""
    from techsapo_ops.adapters.files import write_atomic  # who only looks needs nothing of it

    if not layout.format_note.exists():
        write_atomic(layout.format_note, f"{FORMAT}\n".encode(), 0o644)


def require_format(state: Path) -> None:
    """Raise OpsError where the state directory `state` is in a format that this version does not read."""
    note = Layout(state, state).format_note
    try:
        noted = note.read_text("utf-8").strip()
    except FileNotFoundError:
        noted = "" if _was_applied(state) else str(FORMAT)
    except UnicodeDecodeError:
        noted = ""
    except OSError:  # whoever reads what is in it says whose it is
        return
    if noted != str(FORMAT):
        raise OpsError(
            msg(
                "{state} was written by another version of techsapo, and this version can't read it",
                state=state,
            ),
            msg(
                "stop the stack with that version, then run `mv {state} {state}-before`: the data, keys "
                "and backups stay in that folder, and `techsapo up` starts a new stack",
                state=state,
            ),
        )


def _was_applied(state: Path) -> bool:
    """Whether a stack was applied from there: it has services, or an apply is recorded."""
    return (state / "state.json").exists() or any((state / "ledger").glob("*.json"))
