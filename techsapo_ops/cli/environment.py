"""The surroundings of this process: its variables, who is at work, the way to other programs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from techsapo_ops.adapters.process import Runner, SubprocessRunner
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg

if TYPE_CHECKING:
    from techsapo_ops.spec.secret import Secret


def environment_variables(directory: Path) -> Mapping[str, str]:
    """The process environment over `.env` in `directory`."""
    dotenv = directory / ".env"
    if not dotenv.is_file():
        return os.environ
    from techsapo_ops.adapters.files import read_text
    from techsapo_ops.spec.variables import parse_dotenv

    return {**parse_dotenv(read_text(dotenv), filename=str(dotenv)), **os.environ}


def api_key() -> Secret | None:
    """The API key that TECHSAPO_API_KEY holds, if any. Raises OpsError for what no header can carry."""
    from techsapo_ops.spec.secret import Secret

    value = os.environ.get("TECHSAPO_API_KEY", "").strip()
    if not (value.isascii() and value.isprintable()):
        raise OpsError(
            msg("TECHSAPO_API_KEY contains characters that an API key cannot have"),
            msg("set TECHSAPO_API_KEY to the key exactly as `techsapo keys create NAME` showed it"),
            exit_code=2,
        )
    return Secret(value) if value else None


@contextmanager
def without_plugins() -> Iterator[None]:
    """Let Pydantic look for no plug-ins: it reads every installed package for them, at every start."""
    variable = "PYDANTIC_DISABLE_PLUGINS"
    before = os.environ.get(variable)
    os.environ[variable] = "__all__"
    try:
        yield
    finally:
        del os.environ[variable]
        if before is not None:
            os.environ[variable] = before


def runner() -> Runner:
    """The door to other programs."""
    return SubprocessRunner()


def acting_user() -> str:
    """Who is at work: with sudo, the person and not root."""
    import getpass

    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):  # no such user and none in the environment, as in many containers
        return f"uid {os.getuid()}"
