"""A login by HTTP's basic authentication whose password stands in a file."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from techsapo_ops.adapters.tls import Trust
from techsapo_ops.messages import msg


@dataclass(frozen=True, slots=True)
class BasicLogin:
    """A user's name, and the file with the password, which is read anew for each request.

    A server that asks for none takes no notice of it. So where there is no such file yet, or this user may
    not read it, none is sent: only a server that asks for one answers 401, and that is told.
    """

    user: str
    password_file: Path

    def headers(self) -> dict[str, str]:
        """What a request carries; nothing where the password can't be read."""
        try:
            password = self.password_file.read_text(encoding="utf-8").strip()
        except OSError:
            return {}
        return basic_authorization(self.user, password)

    @property
    def hint(self) -> str:
        """What to do about a server that refuses it."""
        if self.password_file.exists():
            return msg(
                "its password is in {password_file}, which its owner and root may read: try sudo",
                password_file=self.password_file,
            )
        return msg("{password_file} is not there: `techsapo up` makes it", password_file=self.password_file)


def basic_authorization(user: str, password: str) -> dict[str, str]:
    """The header of RFC 7617."""
    return {"Authorization": "Basic " + b64encode(f"{user}:{password}".encode()).decode("ascii")}


def within_the_stack(url: str) -> Trust:
    """Lets a login be sent to the stack's own server at `url` by plain HTTP.

    Its address is one of this host, or a container's on the stack's own network.
    """
    return Trust(here=frozenset({urlsplit(url).hostname or ""}))
