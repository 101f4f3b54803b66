"""The first steps in messages: with the ports and logins of the stack that sends them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from rows import each_row
from stacks import spec, topology

from techsapo_ops.catalogue.runbooks import LOCALES, runbooks
from techsapo_ops.services.prometheus.alert_rules import alert_groups
from techsapo_ops.services.prometheus.scrape import own_commands

HERE = Path("/opt/stack")

ELSEWHERE: dict[str, Any] = {
    "app": {"instances": [{"port": 14000}, {"port": 14001}]},
    "mysql": {"password": "hush", "port": 13306},
    "monitoring": {"prometheus": {"port": 19090}, "alertmanager": {"port": 19093}},
}
_AT = re.compile(r"localhost:\d+|127\.0\.0\.1:\d+")


JOBS = ("prometheus", "alertmanager", *(f"{name}-exporter" for name in ("node", "redis", "mysqld", "nginx")))


def steps(engine: Any = "native", **sections: Any) -> dict[str, str]:
    where = topology(spec(**{**ELSEWHERE, **sections}), HERE, engine)
    groups = alert_groups(where.spec, JOBS, own_commands(where))
    return {r["alert"]: r["annotations"]["steps"] for g in groups for r in g["rules"]}


@each_row("locale", LOCALES)
@each_row("engine", ["native", "compose"])
def test_no_first_step_names_a_port_that_is_not_this_stack_s(locale: str, engine: str) -> None:
    told = steps(engine, locale=locale, redis={"port": 16379})
    where = {at.rpartition(":")[2] for text in told.values() for at in _AT.findall(text)}
    assert where == {"19090"}
    assert "/targets`" in told["TargetDown"]


@each_row("locale", LOCALES)
def test_redis_is_asked_at_its_port_with_the_login_that_it_wants(locale: str) -> None:
    login = "REDISCLI_AUTH=$(techsapo config secrets show redis-operator)"
    ask = f"`{login} redis-cli -p 16379 --user techsapo_operator "
    told = steps(locale=locale, redis={"port": 16379})
    for name in ("RedisNotWritable", "ConnectionsHigh", "AnswersForged"):
        text = told[name]
        assert ask in text
        assert text.count("redis-cli ") == text.count(ask)
        assert "secrets list" not in text


def test_redis_with_tls_without_a_login_and_in_a_container() -> None:
    open_one = steps(redis={"accounts": False})["RedisNotWritable"]
    assert open_one.startswith("1. `redis-cli info memory`")
    ca = re.escape(str(HERE / ".techsapo" / "keys"))
    tls = steps(redis={"tls": True, "password": "s3cret"})["RedisNotWritable"]
    assert re.search(rf"show redis\) redis-cli --tls --cacert '?{ca}/\S+ info memory", tls.splitlines()[0])
    inside = steps("compose", redis={"port": 16379})["RedisNotWritable"]
    login = "REDISCLI_AUTH=$(techsapo config secrets show redis-operator)"
    there = "docker exec -e REDISCLI_AUTH techsapo-redis-1 redis-cli --user techsapo_operator info memory"
    assert inside.startswith(f"1. `{login} {there}`")


def test_mariadb_is_asked_at_its_port_or_in_its_container() -> None:
    assert "mariadb -h 127.0.0.1 -P 13306 -u root -e" in steps()["ConnectionsHigh"]
    inside = steps("compose")["ConnectionsHigh"]
    assert '`docker exec -u 0 techsapo-mysql-1 mariadb -e "show full processlist"`' in inside
    assert "PROJECT" not in inside


def test_what_takes_a_text_s_place_is_still_in_the_runbooks() -> None:
    texts = "".join(page.text[locale] for page in runbooks().values() for locale in LOCALES)
    replaced = own_commands(topology(spec(**ELSEWHERE, redis={"port": 16379}), HERE))
    assert [each for each in replaced if each not in texts and "9093" not in each] == []
