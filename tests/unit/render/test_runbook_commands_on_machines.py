"""First steps in messages, and pages, on several hosts: what they say works there, from the spec's folder."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from functools import cache
from pathlib import Path

from machines_spec import machines_files, machines_topology
from orchestrator import client_of, make_spec
from rows import each_row

from techsapo_ops.adapters.address import Address
from techsapo_ops.catalogue.pages import LOCALES, runbooks
from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.serve.app import App
from techsapo_ops.serve.options import Options
from techsapo_ops.services.prometheus.scrape import own_commands

TOPOLOGY = machines_topology()
NAMES = {s.name for s in TOPOLOGY.services} | {s.kind for s in TOPOLOGY.services}
_OF_A_SERVICE = re.compile(
    r"techsapo (?:exec|logs|restart|start|stop) ([\w.{}$ -]+?)(?=[` ]|$)", re.MULTILINE
)
_NAMED_BY_THE_READER = {"SERVICE", "NAME"}


@cache
def rules(locale: str) -> dict[str, dict[str, str]]:
    """The annotations of every alert, by name."""
    found = read_yaml(machines_files(machines_topology(locale=locale))["prometheus/rules/alerts.yml"])
    return {r["alert"]: r["annotations"] for g in found["groups"] for r in g["rules"]}


def filled(text: str, host: str) -> str:
    """What Prometheus makes of the steps of an alert with the label `host`, empty where it has none."""
    text = text.replace("{{ with $labels.host }}-{{ . }}{{ end }}", host and f"-{host}")
    return text.replace('{{ or $labels.host "HOST" }}', host or "HOST")


@cache
def pages(locale: str) -> dict[str, str]:
    own = own_commands(TOPOLOGY)
    return {name: page.of_stack(own, hosts=3).text[locale] for name, page in runbooks().items()}


@each_row("locale", LOCALES)
def test_no_command_of_a_message_or_a_page_is_another_engine_s(locale: str) -> None:
    said = [*(told["steps"] for told in rules(locale).values()), *pages(locale).values()]
    for text in said:
        commands = re.findall(r"`[^`]+`", text)
        assert not [c for c in commands if re.search(r"docker exec|localhost|127\.0\.0\.1|-1\b", c)], text
        assert not [c for c in commands if re.match(r"`(redis-cli|mariadb|REDISCLI_AUTH|MYSQL_PWD)", c)], text


@each_row("locale", LOCALES)
def test_every_service_that_a_command_names_is_one_of_the_stack_s_on_each_host(locale: str) -> None:
    texts = [filled(told["steps"], host) for told in rules(locale).values() for host in ("b", "")]
    texts += [page.replace("HOST", host) for page in pages(locale).values() for host in ("a", "b")]
    named = {name for text in texts for name in _OF_A_SERVICE.findall(text)} - _NAMED_BY_THE_READER
    assert "redis-b" in named
    assert "redis" in named
    elsewhere = {"scheduler"}  # cron starts the jobs on several hosts
    left = {name for name in named if name.endswith("-HOST")}  # of an alert of no host, for its reader
    assert left <= {f"{name}-HOST" for name in NAMES}
    assert sorted(named - NAMES - elsewhere - left) == []


@each_row("locale", LOCALES)
def test_a_page_says_what_is_true_here_alone_and_numbers_its_steps_anew(locale: str) -> None:
    labels = r"On one host: |On several hosts: |1 台のホスト：|複数のホスト："
    for hosts in (3, 0):
        for name, page in runbooks().items():
            text = page.of_stack({}, hosts=hosts).text[locale]
            assert not re.search(labels, text), name
            assert "\n\n\n" not in text
            for section in re.split(r"^## ", text, flags=re.MULTILINE):
                numbers = [int(number) for number in re.findall(r"^(\d+)\. ", section, re.MULTILINE)]
                assert numbers == list(range(1, len(numbers) + 1)), name


def test_a_labelled_line_is_one_line() -> None:
    for page in runbooks().values():
        for text in page.text.values():
            assert not re.search(
                r"^(\d+\. |- |)(On (one|several) hosts?: |1 台のホスト：|複数のホスト：).*\n +\S",
                text,
                re.MULTILINE,
            ), page.name


def test_the_app_s_own_pages_are_those_of_several_hosts_there(tmp_path: Path) -> None:
    def page(options: Options) -> str:
        async def main() -> str:
            async with client_of(App(options)) as client:
                return (await client.get("/runbooks/RedisNotWritable?lang=en")).text

        return asyncio.run(main())

    alone = Options(make_spec(), "app-1", tmp_path)
    ask = "techsapo exec redis-HOST redis-cli info memory"
    assert ask not in page(alone)
    assert ask in page(replace(alone, audit_members=(Address("mysql-b", 3306),)))
