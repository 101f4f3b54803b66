"""MariaDB's accounts as statements: no hash of a password is in the plain ones."""

from __future__ import annotations

import json

import pytest
from rows import each_row

from techsapo_ops.errors import OpsError
from techsapo_ops.services.mysql.own_accounts import (
    Account,
    Right,
    differences,
    facts,
    login_statements,
    logins,
    read,
    statements,
    waiting,
)

HASH = "*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19"
OTHER = "*94BDCEBE19083CE2A1F959FD02F964C7AF4CFC29"
REPORTING = ("reporting", "%")


def priv(account: Account, **more: object) -> Right:
    told = {"access": 0, "plugin": "mysql_native_password", "authentication_string": HASH, **more}
    return Right("global_priv", {"Host": account[1], "User": account[0], "Priv": json.dumps(told)})


def database(account: Account, name: str = "techsapo_audit", select: str = "Y") -> Right:
    return Right("db", {"Host": account[1], "Db": name, "User": account[0], "Select_priv": select})


RIGHTS = {REPORTING: [database(REPORTING), priv(REPORTING)]}


@each_row(
    "more",
    [
        {},
        {"auth_or": [{"authentication_string": OTHER}, {"plugin": "unix_socket"}]},
        {"password_last_changed": 1764000000, "account_locked": False},
    ],
)
def test_an_account_comes_back_locked_without_its_password(more: dict[str, object]) -> None:
    text = statements({REPORTING: [priv(REPORTING, **more)]})
    assert HASH not in text
    assert OTHER not in text
    assert '"account_locked": true' in text
    assert '"authentication_string": "invalid"' in text
    assert "password_last_changed" not in text
    assert HASH in login_statements({REPORTING: [priv(REPORTING, **more)]})


@each_row("secret", [HASH, OTHER])
def test_a_hash_that_stands_elsewhere_keeps_them_from_being_written(secret: str) -> None:
    own = priv(REPORTING, auth_or=[{"authentication_string": OTHER}])
    with pytest.raises(OpsError, match="hold a password's hash"):
        statements({REPORTING: [database(REPORTING, name=secret), own]})


def test_a_role_is_not_locked_and_has_no_password() -> None:
    role = ("readers", "")
    rights = {role: [priv(role, is_role=True, authentication_string="")]}
    assert "account_locked" not in statements(rights)
    assert logins(rights) == waiting(rights) == []
    assert facts(rights).keys() == {"role readers"}


def test_one_without_its_password_waits_for_it_and_is_no_login_to_keep() -> None:
    rights = {REPORTING: [priv(REPORTING, authentication_string="invalid")]}
    assert waiting(rights) == ["'reporting'@'%'"]
    assert logins(rights) == []
    assert logins(RIGHTS) == ["'reporting'@'%'"]
    assert waiting(RIGHTS) == []


def test_they_are_read_as_they_were_written_and_what_is_cut_short_is_told() -> None:
    odd = ("a\nb'c", "10.0.0.%")
    text = statements({**RIGHTS, odd: [priv(odd)]})
    found = read(text)
    assert list(found) == [REPORTING, odd]
    assert [len(lines) for lines in found.values()] == [2, 2]  # with the flush behind the last
    with pytest.raises(OpsError, match="cut short"):
        read(text.rpartition("-- Accounts completed")[0])
    with pytest.raises(OpsError, match="is damaged"):
        read(text.replace('["reporting", "%"]', '["reporting"]'))


def test_a_password_makes_no_difference_and_a_right_does() -> None:
    was = facts(RIGHTS)
    moved = {
        REPORTING: [database(REPORTING), priv(REPORTING, authentication_string=OTHER, account_locked=True)]
    }
    assert list(differences(was, facts(moved))) == []
    for rights, words in (
        ({}, "account 'reporting'@'%' is missing"),
        ({REPORTING: [priv(REPORTING)]}, "lacks its rights in db techsapo_audit"),
        (
            {REPORTING: [database(REPORTING, select="N"), priv(REPORTING)]},
            "has other rights in db techsapo_audit",
        ),
        ({REPORTING: [database(REPORTING), priv(REPORTING, access=1)]}, "has other rights in global_priv"),
        (
            {REPORTING: [database(REPORTING), database(REPORTING, "more"), priv(REPORTING)]},
            "has rights in db more that it had not",
        ),
        ({**RIGHTS, ("new", "%"): [priv(("new", "%"))]}, "account 'new'@'%' was not there"),
    ):
        (told,) = differences(was, facts(rights))
        assert words in told
