"""What a stack tells a process of the app of its stores."""

from __future__ import annotations

from typing import Any

import pytest
from rows import each_row

from techsapo_ops.cli.app.store_options import StoreAddresses
from techsapo_ops.errors import OpsError
from techsapo_ops.spec.models import Spec

_NOTHING: dict[str, Any] = {
    "redis": None,
    "redis_ca": None,
    "mysql": None,
    "sentinel": None,
}


def told(**options: Any) -> StoreAddresses:
    return StoreAddresses(**{**_NOTHING, **options})


def test_a_store_is_where_the_process_is_told() -> None:
    seen = told(redis="redis:6379").spec(Spec(project="told"))

    assert (seen.redis.host, seen.redis.port) == ("redis", 6379)
    assert told().spec(Spec(project="told")) == Spec(project="told")


@each_row("text", ["", "redis", ":6379", "redis:port"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(OpsError, match="is not HOST:PORT") as refused:
        told(redis=text).spec(Spec(project="told"))

    assert refused.value.exit_code == 2


def test_of_a_cluster_the_nearest_member_comes_first_and_the_others_are_kept() -> None:
    seen = told(mysql="mysql-b:3306,mysql-a:3306,mysql-c:3307")

    spec = seen.spec(Spec.model_validate({"project": "told", "mysql": {}}))

    assert spec.mysql is not None
    assert (spec.mysql.host, spec.mysql.port) == ("mysql-b", 3306)
    assert [(each.host, each.port) for each in seen.audit_members] == [("mysql-a", 3306), ("mysql-c", 3307)]
    assert told(mysql="mysql:3306").audit_members == ()
    with pytest.raises(OpsError, match="'mysql-b' is not HOST:PORT"):
        told(mysql="mysql-a:3306,mysql-b")
