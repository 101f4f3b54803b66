"""The one exception type that reaches the user."""

from __future__ import annotations

from techsapo_ops.messages import msg


class OpsError(Exception):
    """Something the user can act on: what went wrong, and what to try next.

    `message` says what and where; `hint` says what to try and may be empty. Both are made by `msg`, so that
    they can be said in another language. `exit_code` is what the command line ends with (1 failed, 2 usage,
    3 wrong spec for `techsapo health`).
    """

    def __init__(self, message: str, hint: str = "", *, exit_code: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.exit_code = exit_code

    def __str__(self) -> str:
        if not self.hint:
            return self.message
        return msg("{message}; {hint}", message=self.message, hint=self.hint)
