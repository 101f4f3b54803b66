"""Asks a MySQL or MariaDB server whether it is ready."""

from __future__ import annotations

import ssl
from pathlib import Path

import pymysql

from techsapo_ops.adapters.address import Address
from techsapo_ops.adapters.questions import Deadline, os_reason
from techsapo_ops.adapters.tls import no_tls, trusting
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg

_SHOWN = 200


def ready(
    address: Address,
    deadline: Deadline,
    *,
    user: str | None,
    password: str | None,
    ca: Path | None,
) -> tuple[bool, str]:
    """Whether the server answers SELECT 1, or without `user` shows its greeting; and a detail for the user.

    It is asked by TLS where there is a `ca`, which must have signed its certificate. Raises OSError where it
    is not reached, or not in time.
    """
    try:
        return _select(address, deadline, (user, password), ca)
    except OpsError as error:
        return False, error.message


def _select(
    address: Address, deadline: Deadline, login: tuple[str | None, str | None], ca: Path | None
) -> tuple[bool, str]:
    user, password = login
    link = pymysql.connect(
        host=address.host,
        port=address.port,
        user=user or "",
        password=password or "",
        connect_timeout=max(deadline.seconds, 1),
        read_timeout=deadline.seconds,
        write_timeout=deadline.seconds,
        ssl=trusting(ca) if ca is not None else None,
        ssl_disabled=ca is None,
        read_default_file=None,
        defer_connect=True,
    )
    raw = deadline.connect(address.host, address.port)
    raw.settimeout(deadline.seconds)
    try:
        link.connect(raw)
        with link.cursor() as cursor:
            cursor.execute("SELECT 1")
            cursor.fetchone()
    except ssl.SSLError as error:
        raise no_tls(error) from None
    except pymysql.MySQLError as error:
        if isinstance(cause := getattr(error, "original_exception", None), ssl.SSLError):
            raise no_tls(cause) from None
        code = error.args[0] if error.args else 0
        if code == 1045 and user is None:
            return True, msg("answers (not logged in)")
        return False, _reason(error, code, user)
    finally:
        if link.open:
            link.close()
        raw.close()
    return True, f"SELECT 1 ({link.get_server_info()})"


def _reason(error: Exception, code: object, user: str | None) -> str:
    if code == 1045:
        return msg("refused user {user}: wrong password (mysql.password)", user=user)
    if code == 1040:
        return msg("has too many connections")
    text = str(error.args[1]) if len(error.args) > 1 else str(error)
    if "timed out" in text:
        return msg("timed out")
    return os_reason(error) or " ".join(text.split())[:_SHOWN] or msg("closed the connection")
