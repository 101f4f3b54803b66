"""A secret of a stack that a person may need: what it opens, where it is, and who uses it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from techsapo_ops.messages import msg

if TYPE_CHECKING:
    from techsapo_ops.spec.secret import Secret


@dataclass(frozen=True, slots=True)
class KeptSecret:
    """One secret, by a `name` of its own such as `redis-operator`.

    `given` is what the spec says at `setting`, or None where the tool made it and keeps it in `file`.
    """

    name: str
    opens: str
    """What it opens, and for whom, in a few words."""
    used_by: tuple[str, ...]
    """Who logs in with it: kinds of services, `techsapo`, or `you`."""
    account: str | None = None
    file: Path | None = None
    given: Secret | None = None
    setting: str = ""

    @property
    def made_by(self) -> str:
        """Who thought it up."""
        return msg("your spec") if self.given is not None else "techsapo"

    @property
    def place(self) -> str:
        """Where it is."""
        if self.given is not None:
            return self.given.file or msg("{setting} in the spec", setting=self.setting)
        return str(self.file)
