"""Secrets that the tool makes itself, once, and keeps in the state directory.

Passwords, the keys of clusters, and the logins that Prometheus and Alertmanager ask for.
"""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path

from techsapo_ops.adapters import owners
from techsapo_ops.adapters.files import own_mode, read_text, write_atomic, write_in_place
from techsapo_ops.messages import msg
from techsapo_ops.services.monitor import READERS, USER, asks_login, copy_for, password_file, web_file
from techsapo_ops.spec.secret import Secret
from techsapo_ops.stack.topology import Topology

_MODE = 0o600
_YEARS = timedelta(days=3650)
_BEFORE = timedelta(days=1)
"""By so much a member's clock may go behind."""
_COST = 8
"""Of bcrypt, 20 ms. The password holds 192 random bits, so a higher one would protect nothing more, and every
wrong guess costs the server as much: it hashes one at a time."""
_HASH = re.compile(r'^  techsapo: "(\$2b\$08\$[./A-Za-z0-9]{53})"$', re.MULTILINE)
"""As we write it: the server's user, whose file it is, could write one that takes hours to check."""


def made_once(path: Path, user: str | None) -> Secret:
    """The random password in `path`, which is made now if it is not there; 0600, owned by `user`."""
    if not path.exists():
        write_atomic(path, secrets.token_hex(24).encode(), _MODE, owners.ids(user))
    owners.give(path, user)
    return Secret(read_text(path, what=msg("key")).strip(), file=str(path))


def keep(path: Path, text: str, user: str | None, *, mounted: bool = False) -> bool:
    """Let `path` hold `text`, for `user` alone; whether it held anything else. Raises OpsError.

    `mounted`: a container may have it by itself, so that it has to stay the same file.
    """
    content, there = text.encode(), path.exists()
    if there and path.read_bytes() == content and own_mode(path) == _MODE:
        owners.give(path, user)
        return False
    if there and mounted:
        write_in_place(path, content, _MODE)
        owners.give(path, user)
    else:
        write_atomic(path, content, _MODE, owners.ids(user))
    return True


def made_key(path: Path, member: str) -> None:
    """See to it that `path` holds a private key, and a certificate that it signed; 0600, made once.

    All members have both, and trust that certificate alone: so who has the key is a member, and nobody else
    is. Nothing in it names a host, since none is told from another by it; `member` is what all of them are
    called. Raises OpsError where it can't be written.
    """
    if path.exists():
        return
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"techsapo {member} cluster")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BEFORE)
        .not_valid_after(now + _YEARS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(member)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write_atomic(path, private + certificate.public_bytes(serialization.Encoding.PEM), 0o600)


def make_login(topology: Topology, kind: str) -> None:
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
    text = text if _fits(text, password) else hashed_login(password)
    keep(web, text, user_of(topology, kind), mounted=True)


def user_of(topology: Topology, kind: str) -> str | None:
    """Whose the files of services of that kind are."""
    return topology.of_kind(kind)[0].user


def _fits(text: str, password: Secret) -> bool:
    import bcrypt

    match = _HASH.search(text)
    return match is not None and bcrypt.checkpw(password.reveal().encode(), match[1].encode())


def hashed_login(password: Secret) -> str:
    """What a server reads to ask for this password, of USER."""
    import bcrypt

    hashed = bcrypt.hashpw(password.reveal().encode(), bcrypt.gensalt(_COST)).decode("ascii")
    return f'basic_auth_users:\n  {USER}: "{hashed}"\n'
