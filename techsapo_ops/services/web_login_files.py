"""Makes the files of the login that Prometheus and Alertmanager ask for."""

from __future__ import annotations

import re

from techsapo_ops.services.made_once import keep, made_once
from techsapo_ops.services.web_login import (
    READERS,
    USER,
    asks_login,
    copy_for,
    password_file,
    web_file,
)
from techsapo_ops.spec.secret import Secret
from techsapo_ops.stack.topology import Topology

_COST = 8
"""Of bcrypt, 20 ms. The password holds 192 random bits, so a higher one would protect nothing more, and every
wrong guess costs the server as much: it hashes one at a time."""
_HASH = re.compile(r'^  techsapo: "(\$2b\$08\$[./A-Za-z0-9]{53})"$', re.MULTILINE)
"""As we write it: the server's user, whose file it is, could write one that takes hours to check."""


def make(topology: Topology, kind: str) -> None:
    """The password of the stack's server of `kind`, a copy for each reader, and its hash for the server.

    Made where they are missing, or belong to another password. The server reads them at each request: one
    that runs takes over a new password by that alone. The copies come first, so that whoever logs in can
    when the server begins to ask.
    """
    if not asks_login(topology, kind):
        return
    layout = topology.layout
    password = made_once(password_file(layout, kind), None)
    for reader in READERS[kind]:
        if topology.has(reader):
            copy = copy_for(layout, kind, reader)
            keep(copy, password.reveal(), user_of(topology, reader), mounted=True)
    web = web_file(layout, kind)
    text = web.read_text(encoding="utf-8") if web.exists() else ""
    text = text if _fits(text, password) else hashed(password)
    keep(web, text, user_of(topology, kind), mounted=True)


def user_of(topology: Topology, kind: str) -> str | None:
    """Whose the files of services of that kind are."""
    return topology.of_kind(kind)[0].user


def _fits(text: str, password: Secret) -> bool:
    import bcrypt

    found = _HASH.search(text)
    return found is not None and bcrypt.checkpw(password.reveal().encode(), found[1].encode())


def hashed(password: Secret) -> str:
    """What a server reads to ask for this password, of USER."""
    import bcrypt

    found = bcrypt.hashpw(password.reveal().encode(), bcrypt.gensalt(_COST)).decode("ascii")
    return f'basic_auth_users:\n  {USER}: "{found}"\n'
