from __future__ import annotations

from alembic.config import Config
from alembic.script import ScriptDirectory

from techsapo_ops.stores.audit.migrate import HEAD, MIGRATIONS, sql_from
from techsapo_ops.stores.audit.tables import audit_tables


def test_the_newest_migration_is_the_one_that_the_code_knows() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


def test_as_sql_they_make_what_they_make_by_a_connection() -> None:
    made = sql_from(None)
    assert f"VALUES ('{HEAD}')" in made
    for table in audit_tables():
        assert f"CREATE TABLE IF NOT EXISTS {table.name}" in made
        assert [column.name for column in table.columns if column.name not in made] == []


def test_as_sql_nothing_is_said_of_the_newest_schema_or_of_one_beyond_it() -> None:
    assert sql_from(HEAD) == ""
    assert sql_from("9999") == ""
