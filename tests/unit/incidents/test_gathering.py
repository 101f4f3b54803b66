"""What is read at once, what names mean, and pages that were written beforehand."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from rows import each_row

from techsapo_ops.adapters.http import Unreachable
from techsapo_ops.catalogue.translations import in_language
from techsapo_ops.errors import OpsError
from techsapo_ops.incidents.gather import Reader, gather, worded
from techsapo_ops.incidents.labels import hosts_of, services_of
from techsapo_ops.incidents.material import Fact, Material, Subject
from techsapo_ops.incidents.readers.runbook import OwnRunbooks, ServiceRunbook
from techsapo_ops.incidents.subject import Known
from techsapo_ops.messages import msg

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
SUBJECT = Subject(NOW, alert="RedisDown")


def fails(error: Exception) -> Reader:
    def read(subject: Subject, start: datetime, end: datetime) -> Material:
        raise error

    return read


def test_what_answers_is_joined_and_what_does_not_is_said_with_the_reason() -> None:
    never = threading.Event()

    def reads(subject: Subject, start: datetime, end: datetime) -> Material:
        return Material(subject, start, end, facts=(Fact("disk", "full"),))

    def hangs(subject: Subject, start: datetime, end: datetime) -> Material:
        never.wait()
        raise AssertionError

    readers = {
        "host": reads,
        "Prometheus": fails(Unreachable("http://127.0.0.1:9090", "connection refused")),
        "shop": fails(OpsError("there is no file /var/log/shop\nand more")),
        "code": fails(KeyError("x")),
        "hangs": hangs,
    }
    material = gather(SUBJECT, NOW, NOW, readers, 0.05)
    never.set()
    assert material.facts == (Fact("disk", "full"),)
    assert material.read == ("host",)
    assert {each.source: each.reason for each in material.unread} == {
        "Prometheus": "connection refused",
        "shop": "there is no file /var/log/shop",
        "code": "KeyError: 'x'",
        "hangs": "did not answer within 0.05 s",
    }


def test_sources_and_reasons_are_said_in_the_language_of_the_stack() -> None:
    readers = {"app": fails(OpsError(msg("this host has no journal"))), msg("runbook"): Material}
    material = gather(SUBJECT, NOW, NOW, readers)
    said = worded(material, partial(in_language, language="ja"))
    assert [str(each) for each in said.read] == ["手順書"]
    assert [str(each.reason) for each in said.unread] == ["このホストにジャーナルがありません"]


KNOWN = Known(
    {"app-1", "app", "redis"}, {"a"}, {"shop": {"job": "shop"}, "till": {"job": "shop", "env": "till"}}
)


@each_row(
    "labels, services, unknown, hosts",
    [
        ({"instance": "app-1", "job": "techsapo-app"}, {"app-1", "app"}, {"app"}, []),
        ({"job": "redis-exporter", "instance": "redis:9121"}, {"redis"}, {"redis"}, []),
        ({"job": "shop", "host": "a", "instance": "https://b:8443/x"}, {"shop"}, {"shop"}, ["a", "b"]),
        ({"job": "shop", "env": "till"}, {"shop", "till"}, {"shop", "till"}, []),
        ({"service": "memory", "instance": "http://["}, set(), {"memory"}, []),
    ],
)
def test_labels_name_services_of_the_stack_and_of_the_team_and_hosts(
    labels: dict[str, str], services: set[str], unknown: set[str], hosts: list[str]
) -> None:
    assert services_of(labels, KNOWN.watched, KNOWN.services) == services
    assert services_of(labels, KNOWN.watched) == unknown
    assert list(hosts_of(labels, KNOWN.services)) == hosts


def test_a_question_is_about_the_services_and_hosts_that_it_names() -> None:
    asked = KNOWN.asked("why is redis on a slow? \x1b[2J the shopping", NOW)
    assert asked.services == {"redis"}
    assert asked.hosts == {"a"}
    assert "\x1b" not in asked.question


def test_the_runbook_of_an_alert_comes_by_its_headings_in_the_language_of_the_stack() -> None:
    pages = OwnRunbooks("en")(SUBJECT, NOW, NOW).pages
    assert {page.file for page in pages} == {"RedisDown.md"}
    assert [page.heading for page in pages] == ["What it means", "How to check", "How to fix"]
    assert OwnRunbooks("en")(Subject(NOW, alert="ShopDown"), NOW, NOW).pages == ()


def test_a_services_runbook_is_a_file_or_a_url_which_is_named_and_not_fetched(tmp_path: Path) -> None:
    (tmp_path / "shop.md").write_text("# Shop\n\n## Down ##\nCall \x1b[2JKimura.\n\n## Empty\n")
    pages = ServiceRunbook("shop.md", tmp_path)(SUBJECT, NOW, NOW).pages
    assert [(page.file, page.heading) for page in pages] == [("shop.md", "Down")]
    assert "\x1b" not in pages[0].text
    url = "https://wiki.example.com/shop"
    assert [page.text for page in ServiceRunbook(url, tmp_path)(SUBJECT, NOW, NOW).pages] == [url]
    with pytest.raises(OpsError, match="No such file"):
        ServiceRunbook("gone.md", tmp_path).readable()
