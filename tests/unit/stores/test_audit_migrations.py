from __future__ import annotations

from alembic.config import Config
from alembic.script import ScriptDirectory

from techsapo_ops.stores.audit.migrate import HEAD, MIGRATIONS


def test_the_newest_migration_is_the_one_that_the_code_knows() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]
