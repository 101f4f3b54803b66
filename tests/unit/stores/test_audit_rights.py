"""The app's account on MariaDB may add rows to the audit tables alone."""

from __future__ import annotations

from rows import each_row

from techsapo_ops.services.mysql.accounts import TABLES, Passwords, accounts_sql, adding, narrowed
from techsapo_ops.spec.models.data import Mysql
from techsapo_ops.spec.secret import Secret
from techsapo_ops.stores.audit.tables import audit_tables

HOSTS = ("127.0.0.1", "%")


def test_rows_are_added_to_the_tables_that_the_app_writes_and_to_no_other() -> None:
    assert {table.name for table in audit_tables()} == set(TABLES)
    granted = [line for line in adding(Mysql(), HOSTS) if line.startswith("GRANT")]
    assert len(granted) == len(TABLES) * len(HOSTS)
    assert all(line.startswith("GRANT INSERT ON `techsapo_audit`.`audit_") for line in granted)


@each_row(
    "sql",
    [
        accounts_sql(Mysql(), Passwords(Secret("a"), Secret("b")), HOSTS).split(";\n"),
        narrowed(Mysql(), HOSTS),
    ],
    ids=["each start", "once all runs"],
)
def test_nothing_gives_the_app_s_account_more_than_to_read_the_whole_database(sql: list[str]) -> None:
    whole = [line for line in sql if "`techsapo_audit`.* TO 'techsapo'@" in line]
    assert {line.partition(" ON ")[0] for line in whole} == {"GRANT SELECT"}
