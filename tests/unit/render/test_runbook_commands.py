"""The first steps in messages: with the ports of the stack that sends them, and no login to look for."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from rows import each_row
from stacks import spec, topology

from techsapo_ops.catalogue.pages import LOCALES, runbooks
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
@each_row("engine", ["native", "compose"])
def test_servers_are_asked_by_a_command_that_logs_in_wherever_they_run(locale: str, engine: str) -> None:
    for text in steps(engine, locale=locale).values():
        commands = re.findall(r"`[^`]+`", text)
        assert not [c for c in commands if re.match(r"`(redis-cli|mariadb|docker exec|[A-Z_]+=)", c)], text


def test_what_takes_a_text_s_place_is_still_in_the_runbooks() -> None:
    texts = "".join(page.text[locale] for page in runbooks().values() for locale in LOCALES)
    replaced = own_commands(topology(spec(**ELSEWHERE, redis={"port": 16379}), HERE))
    assert [each for each in replaced if each not in texts and "9093" not in each] == []
