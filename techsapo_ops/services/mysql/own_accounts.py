"""The accounts that an operator made in MariaDB, as rows of the server's own tables.

Rows, not GRANT statements: those need each table and routine to be there that they name, and a throwaway
server, or one whose database comes back later, has none yet. Passwords are apart: what they become by hashing
is enough to try guesses on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.mysql.accounts import migrations_user
from techsapo_ops.services.mysql.quoting import literal, name
from techsapo_ops.services.mysql.session import Session

if TYPE_CHECKING:  # `techsapo backup --help` knows of MariaDB, and reads no spec
    from techsapo_ops.spec.models.data import Mysql
    from techsapo_ops.stack.backup import Door

TRAILER = "-- Accounts completed"
_ACCOUNT = "-- account "
_PRIV = "global_priv"
_TABLES: Mapping[str, tuple[str, ...]] = {
    "db": ("Db",),
    "tables_priv": ("Db", "Table_name"),
    "columns_priv": ("Db", "Table_name", "Column_name"),
    "procs_priv": ("Db", "Routine_type", "Routine_name"),
    "roles_mapping": ("Role",),
    "proxies_priv": ("Proxied_host", "Proxied_user"),
    # The last: an account whose row is there has all the others, too.
    _PRIV: (),
}
"""The server's tables of rights, and by which columns a right of an account is told from another one."""
_OF_THE_SERVER = frozenset({"", "root", "mysql", "mariadb.sys", "PUBLIC", "healthcheck"})
"""Made by the server's installation, its image, or `up`."""
_UNTOLD = frozenset({"Timestamp", "Grantor", "Set_time"})
"""When and by whom a right was given: no part of it."""
_SECRET = ("authentication_string", "auth_or", "password_last_changed")
_NO_PASSWORD = "invalid"  # noqa: S105 - no password has this for its hash
_NATIVE = "mysql_native_password"
_HEAD = ("SET SESSION sql_log_bin = 0", "SET SESSION sql_mode = ''")
_LOADING = ("--batch", "--default-character-set=utf8mb4", "--local-infile=0", "--loose-sandbox")
_FLUSH = "FLUSH LOCAL PRIVILEGES"
_SECONDS = 300.0

Account = tuple[str, str]
"""User and host; of a role, its name and nothing."""


@dataclass(frozen=True, slots=True)
class Right:
    """One row of one of the server's tables of rights."""

    table: str
    values: Mapping[str, str | None]

    @property
    def title(self) -> str:
        """What it is about, such as `db techsapo_audit`."""
        return " ".join((self.table, *(self.values.get(column) or "-" for column in _TABLES[self.table])))


Rights = Mapping[Account, Sequence[Right]]


def label(account: Account) -> str:
    """As a person writes it: `'reporting'@'%'`, or `role readers`."""
    user, host = account
    return f"'{user}'@'{host}'" if host else f"role {user}"


def collect(session: Session, mysql: Mysql) -> dict[Account, list[Right]]:
    """Every account but the server's and the tool's own, with its rights, as the server has them."""
    found: dict[Account, list[Right]] = {}
    own = {*_OF_THE_SERVER, mysql.user, migrations_user(mysql)}
    there = {table for (table,) in session.ask("SHOW TABLES FROM mysql")}
    for table in [table for table in _TABLES if table in there]:
        columns = [
            column
            for (column,) in session.ask(
                "SELECT COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = 'mysql' "
                f"AND TABLE_NAME = '{table}' ORDER BY ORDINAL_POSITION"
            )
        ]
        # In hexadecimal: the client writes some characters as two, others as they are.
        chosen = ", ".join(f"COALESCE(HEX(CONVERT({name(c)} USING utf8mb4)), '-')" for c in columns)
        for row in session.ask(f"SELECT {chosen} FROM mysql.{table}"):
            texts = [None if cell == "-" else bytes.fromhex(cell).decode() for cell in row]
            values = dict(zip(columns, texts, strict=True))
            account = (values["User"] or "", values["Host"] or "")
            if account[0] not in own:
                found.setdefault(account, []).append(Right(table, values))
    # Rights that a dropped account has left are nobody's.
    return {account: rights for account, rights in sorted(found.items()) if rights[-1].table == _PRIV}


def facts(rights: Rights) -> dict[str, dict[str, str]]:
    """What each account may, by digest: no hash of a password is in it."""
    return {label(account): {r.title: _digest(r) for r in each} for account, each in rights.items()}


def logins(rights: Rights) -> list[str]:
    """The accounts that can log in, by password or otherwise."""
    return [label(account) for account, each in rights.items() if _can_log_in(each)]


def waiting(rights: Rights) -> list[str]:
    """The accounts whose password did not come back with them."""
    return [label(account) for account, each in rights.items() if _is_waiting(each)]


def statements(rights: Rights) -> str:
    """SQL that makes these accounts, locked and without a password. Raises OpsError where one would stay."""
    text = "\n".join(_lines(rights, _made))
    hidden = [secret for each in rights.values() for secret in _secrets(_priv(each))]
    if any(secret in text for secret in hidden):
        raise OpsError(
            msg(
                "the rights of an account hold a password's hash, so the accounts can't be backed up plainly"
            ),
            msg("look at mysql.global_priv: an account's comment or name must not be its hash"),
        )
    return text


def login_statements(rights: Rights) -> str:
    """SQL that gives these accounts their passwords again, where they have none since they came back."""
    return "\n".join(_lines({a: each for a, each in rights.items() if _can_log_in(each)}, _let_in))


def read(text: str) -> dict[Account, list[str]]:
    """The statements of each account in `text`. Raises OpsError for one that is cut short or damaged."""
    found: dict[Account, list[str]] = {}
    lines = text.splitlines()
    current: list[str] | None = None
    if TRAILER not in lines:
        raise OpsError(msg("it is cut short: its last line is not `{trailer}`", trailer=TRAILER))
    for line in lines[: lines.index(TRAILER)]:
        if line.startswith(_ACCOUNT):
            try:
                user, host = json.loads(line.removeprefix(_ACCOUNT))
                account = str(user), str(host)
            except (ValueError, TypeError, RecursionError):
                raise OpsError(msg("it is damaged: it names an account that can't be read")) from None
            current = found.setdefault(account, [])
        elif current is not None:
            current.append(line)
    return found


def run(door: Door, lines: Iterable[str]) -> None:
    """Run statements on the tables of rights, kept out of the binlog, and let them hold at once.

    Raises OpsError with the server's words.
    """
    script = "".join(f"{line.removesuffix(';')};\n" for line in (*_HEAD, *lines, _FLUSH))
    done = door.run("mariadb", *_LOADING, stdin=script.encode(), timeout=_SECONDS)
    if done.code != 0:
        raise OpsError(
            msg("MariaDB refused the accounts: {output}", output=done.output),
            msg("`techsapo logs mysql` may tell why"),
        )


def there(session: Session) -> set[Account]:
    """Every account that the server has."""
    listed = session.ask("SELECT HEX(User), HEX(Host) FROM mysql.global_priv")
    return {(bytes.fromhex(user).decode(), bytes.fromhex(host).decode()) for user, host in listed}


def removing(accounts: Iterable[Account]) -> Iterator[str]:
    """Statements that remove accounts with all their rights."""
    for user, host in accounts:
        for table in reversed(tuple(_TABLES)):
            yield f"DELETE FROM mysql.{table} WHERE User = {_text(user)} AND Host = {_text(host)}"


def shutting(accounts: Iterable[Account]) -> Iterator[str]:
    """Statements that take the passwords of accounts away again."""
    for user, host in accounts:
        yield (
            "UPDATE mysql.global_priv SET Priv = JSON_SET(JSON_REMOVE(Priv, '$.auth_or'), "
            f"'$.plugin', '{_NATIVE}', '$.authentication_string', '{_NO_PASSWORD}', "
            f"'$.account_locked', true) WHERE User = {_text(user)} AND Host = {_text(host)}"
        )


def differences(was: Mapping[str, Mapping[str, str]], now: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """What accounts lack, or may beyond what they could; one sentence each."""
    for account in sorted({*was, *now}):
        if account not in now:
            yield msg("account {account} is missing", account=account)
        elif account not in was:
            yield msg("account {account} was not there", account=account)
        else:
            before, after = was[account], now[account]
            for title in sorted({*before, *after}):
                if title not in after:
                    yield msg("account {account} lacks its rights in {title}", account=account, title=title)
                elif title not in before:
                    yield msg(
                        "account {account} has rights in {title} that it had not",
                        account=account,
                        title=title,
                    )
                elif before[title] != after[title]:
                    yield msg("account {account} has other rights in {title}", account=account, title=title)


def _lines(rights: Rights, write: Callable[[Sequence[Right]], Iterator[str]]) -> Iterator[str]:
    yield from (f"{line};" for line in _HEAD)
    for account, each in rights.items():
        yield _ACCOUNT + json.dumps(account)
        yield from (f"{line};" for line in write(each))
    yield f"{_FLUSH};"
    yield TRAILER
    yield ""


def _made(rights: Sequence[Right]) -> Iterator[str]:
    for right in rights:
        values = dict(right.values)
        if right.table == _PRIV:
            values["Priv"] = json.dumps(_locked(_priv(rights)), ensure_ascii=False)
        columns = ", ".join(name(column) for column in values)
        row = ", ".join(map(_text, values.values()))
        yield f"REPLACE INTO mysql.{right.table} ({columns}) VALUES ({row})"


def _let_in(rights: Sequence[Right]) -> Iterator[str]:
    user, host = rights[-1].values["User"], rights[-1].values["Host"]
    whole = json.dumps(_priv(rights), ensure_ascii=False)
    yield (
        f"UPDATE mysql.{_PRIV} SET Priv = {_text(whole)} WHERE User = {_text(user)} AND Host = {_text(host)} "
        f"AND JSON_VALUE(Priv, '$.authentication_string') = '{_NO_PASSWORD}'"
    )


def _priv(rights: Sequence[Right]) -> dict[str, Any]:
    found = json.loads(rights[-1].values["Priv"] or "{}")
    if not isinstance(found, dict):
        raise OpsError(msg("mysql.global_priv holds what is no account"), msg("`mariadb-upgrade` repairs it"))
    return found


def _locked(priv: dict[str, Any]) -> dict[str, Any]:
    """The same without anything that a password can be guessed by; a role has none."""
    kept = {key: value for key, value in priv.items() if key not in _SECRET}
    if priv.get("is_role"):
        return kept
    return {**kept, "plugin": _NATIVE, "authentication_string": _NO_PASSWORD, "account_locked": True}


def _can_log_in(rights: Sequence[Right]) -> bool:
    return not _priv(rights).get("is_role") and not _is_waiting(rights)


def _is_waiting(rights: Sequence[Right]) -> bool:
    return bool(_priv(rights).get("authentication_string") == _NO_PASSWORD)


def _secrets(value: Any) -> Iterator[str]:
    """Every hash in the JSON of an account, in alternatives of logging in too."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "authentication_string" and isinstance(inner, str) and len(inner) > len(_NO_PASSWORD):
                yield inner
            else:
                yield from _secrets(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _secrets(inner)


def _digest(right: Right) -> str:
    values: dict[str, Any] = {
        column: value
        for column, value in right.values.items()
        if column not in _UNTOLD and value not in {None, "", "N"}
    }
    if right.table == _PRIV:
        priv = json.loads(values.pop("Priv", "{}"))
        left_out = {*_SECRET, "plugin", "account_locked", "version_id"}
        values["Priv"] = {key: value for key, value in priv.items() if key not in left_out}
    text = json.dumps(values, ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _text(value: str | None) -> str:
    if value is None:
        return "NULL"
    # One line for each statement, whatever a name holds.
    return literal(value) if value.isprintable() else f"CONVERT(X'{value.encode().hex()}' USING utf8mb4)"
