"""Asks a MySQL or MariaDB server whether it is ready."""

from __future__ import annotations

import pymysql

from techsapo_ops.adapters.address import Address
from techsapo_ops.adapters.questions import Deadline, os_reason
from techsapo_ops.messages import msg

_SHOWN = 200


def ready(
    address: Address,
    deadline: Deadline,
    *,
    user: str | None,
    password: str | None,
) -> tuple[bool, str]:
    """Whether the server answers SELECT 1, or without `user` shows its greeting; and a detail for the user.

    Raises OSError where it is not reached, or not in time.
    """
    link = pymysql.connect(
        host=address.host,
        port=address.port,
        user=user or "",
        password=password or "",
        connect_timeout=max(deadline.seconds, 1),
        read_timeout=deadline.seconds,
        write_timeout=deadline.seconds,
        ssl_disabled=True,
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
    except pymysql.MySQLError as error:
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
