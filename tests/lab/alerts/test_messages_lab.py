"""What people are told: every alert in both languages, by the real template engine; Slack and e-mail."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import servers
import slack
from fakes.notified import notified
from mail_server import mail_server
from monitoring_stack import monitoring_files, spec_of, topology_of, write
from rows import each_row
from slack import Message, incoming_webhook, parsed

from techsapo_ops.catalogue.alerts import alerts
from techsapo_ops.catalogue.dashboards import dashboards
from techsapo_ops.catalogue.pages import runbooks
from techsapo_ops.render.stack import secret_files
from techsapo_ops.services.alertmanager.configuration import TEST_LABEL, slack_message
from techsapo_ops.services.alertmanager.runtime import make_signatures
from techsapo_ops.services.alertmanager.signing import key_file, signature, signatures_file
from techsapo_ops.services.alertmanager.silencing import moment_text
from techsapo_ops.services.prometheus.alert_rules import alert_rule

pytestmark = pytest.mark.lab

LANGUAGES = ("ja", "en")
SITE = "https://ops.example.com"
HOSTILE = (
    "<!channel> <https://evil.example|AppDown> & @channel *x*\n手順書: https://evil.example/‮txt " + "y" * 5000
)
PARTS = (
    "techsapo.title", "techsapo.text", "techsapo.color", "techsapo.slack.title", "techsapo.slack.title_link",
    "techsapo.slack.text", "techsapo.slack.fallback", "techsapo.slack.severity",
    "techsapo.slack.severity.value", "techsapo.slack.since", "techsapo.slack.since.value",
    "techsapo.slack.stack", "techsapo.slack.stack.value",
)  # fmt: skip
END = "\x1f"


class Stack(NamedTuple):
    """The generated files of a stack in a language, and every alert's rule by name."""

    locale: str
    folder: Path
    rules: dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def stacks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Stack]:
    """One in each language."""
    found = {}
    for locale in LANGUAGES:
        folder = tmp_path_factory.mktemp(locale)
        spec = spec_of(locale=locale, app={"public_url": SITE})
        write(monitoring_files(spec, folder).values(), folder)
        found[locale] = Stack(locale, folder, {n: alert_rule(spec, a, ()) for n, a in alerts().items()})
    return found


def rendered(folder: Path, data: dict[str, Any]) -> dict[str, str]:
    """Every part of a message, as Alertmanager's template engine makes it."""
    (folder / "data.json").write_text(json.dumps(data), encoding="utf-8")
    text = END.join(f'{{{{ template "{name}" . }}}}' for name in PARTS)
    done = subprocess.run(
        [servers.binary("amtool"), "template", "render",
         f"--template.glob={folder}/alertmanager/templates/*.tmpl",
         f"--template.data={folder}/data.json", f"--template.text={text}"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return dict(zip(PARTS, done.stdout.removesuffix("\n").split(END), strict=True))


def group(
    rule: dict[str, Any], status: str = "firing", count: int = 1, text: str = "", **labels: str
) -> dict[str, Any]:
    """What Alertmanager hands to a template: `count` alerts of `rule`, whose texts Prometheus filled in."""
    every = {"alertname": rule["alert"], **rule["labels"], **labels}

    def filled(words: str) -> str:
        if words.startswith("{{ $of"):  # who has it, which Prometheus asks for: nobody
            return ""
        words = re.sub(r"\{\{ range \$n, \$each := query .*?\{\{ else \}\}.*?\{\{ end \}\}", "a, b", words)
        words = words.replace("{{ $externalLabels.replica }}", "prometheus-a")
        words = re.sub(r"\{\{ with \$labels\.host \}\}.*?\{\{ end \}\}", "", words)  # without that label
        words = words.replace('{{ or $labels.host "HOST" }}', "HOST")
        words = words.replace('{{ "{{" }}', "{{")
        words = re.sub(r"\{\{ if eq .*?\}\}.*?\{\{ else \}\}(.*?)\{\{ end \}\}", r"\1", words)
        return re.sub(
            r"\{\{ \$labels\.\w+ \}\}", lambda _: text or "app-1", re.sub(r"\{\{ \$value.*?\}\}", "42", words)
        )

    annotations = {name: filled(words) for name, words in rule["annotations"].items()}
    one = {
        "status": status,
        "labels": every,
        "annotations": annotations,
        "startsAt": "2026-11-26T20:00:00Z",
        "endsAt": "2026-11-26T20:05:00Z",
        "generatorURL": "http://localhost:9090/graph",
    }
    return {
        "status": status,
        "groupLabels": {"alertname": rule["alert"]},
        "commonLabels": every,
        "commonAnnotations": annotations,
        "alerts": [one] * count,
    }


def as_slack(parts: dict[str, str]) -> Message:
    """What Slack makes of them."""

    def value(name: str) -> str:
        return parts[re.sub(r'\{\{ template "(.*)" \. \}\}', r"\1", name)]

    told = slack_message()
    attachment = {key: value(words) for key, words in told.items() if isinstance(words, str)}
    attachment["fields"] = [{"title": value(f["title"]), "value": value(f["value"])} for f in told["fields"]]
    return parsed(json.dumps({"attachments": [attachment]}).encode(), frozenset())


def with_signatures(locale: str, folder: Path, copy: Path) -> Path:
    """A copy of what is in `folder`, in which alerts have signed links."""
    texts = shutil.copytree(folder / "alertmanager/templates", copy / "alertmanager/templates")
    topology = topology_of(spec_of(locale=locale, app={"public_url": SITE}), copy)
    make_signatures(topology)
    shutil.copy(signatures_file(topology.layout), texts / "z.tmpl")
    return copy


def opens(url: str) -> bool:
    """Whether the app has what `url` leads to."""
    path = url.removeprefix(SITE)
    kind, _, name = path.lstrip("/").partition("#" if "#" in path else "/")
    return {"runbooks": name in runbooks(), "dashboards": name in dashboards()}.get(kind, False)


@each_row("name", alerts())
@each_row("locale", LANGUAGES)
def test_every_alert_is_told_with_what_to_do_and_links_that_open(
    name: str, locale: str, stacks: dict[str, Stack]
) -> None:
    _, folder, rules = stacks[locale]
    parts = rendered(folder, group(rules[name], instance="app-1"))
    assert {part for part, text in parts.items() if not text.strip()} == set()
    assert not any("<no value>" in text or "{{" in text for text in parts.values())
    message = as_slack(parts)
    assert message.title_link == f"{SITE}/runbooks/{name}"
    assert len(message.links) >= 2
    steps = runbooks()[name].of_stack({}, hosts=3 if alerts()[name].machines else 0).steps(locale)
    for text in (message.text, parts["techsapo.text"]):
        for step in steps:
            assert re.sub(r"(?<=techsapo exec )(\w+)-HOST", r"\1", step) in text
        assert "\n\n\n" not in text
        assert not re.search(r"^\s*[\w ]+[:：]\s*$(?!\n1\. )", text, re.MULTILINE), "a line that says nothing"
    mailed = re.findall(r"https?://\S+", re.sub(r"`[^`]*`", "", parts["techsapo.text"]))
    assert [url for url in (*mailed, *(url for url, _ in message.links)) if not opens(url)] == []
    assert len(parts["techsapo.text"]) < 2000
    assert message.length < 4000, "Slack advises 4,000 characters"


@each_row("locale", LANGUAGES)
def test_a_resolved_alert_says_so_and_asks_for_nothing(locale: str, stacks: dict[str, Stack]) -> None:
    _, folder, rules = stacks[locale]
    parts = rendered(folder, group(rules["AppDown"], status="resolved"))
    message = as_slack(parts)
    assert message.color == "good"
    assert message.links == ()
    assert runbooks()["AppDown"].steps("en")[0] not in message.text
    assert "20:05:00" in message.text


@each_row("locale", LANGUAGES)
def test_many_alerts_of_one_kind_are_one_bounded_message_that_says_how_many_there_are(
    locale: str, stacks: dict[str, Stack]
) -> None:
    _, folder, rules = stacks[locale]
    parts = rendered(folder, group(rules["TargetDown"], count=40))
    message = as_slack(parts)
    assert "40" in message.title
    for text in (message.text, parts["techsapo.text"]):
        assert re.search(r"40 件のうち 4 件|4 of 40", text)
    assert message.length < 4000


@each_row("holders", [("", ""), ("ann", ""), ("", "ann"), ("ann", "bob")])
@each_row("locale", LANGUAGES)
def test_a_message_links_to_acknowledging_once_also_to_take_over_what_somebody_has(
    holders: tuple[str, ...], locale: str, stacks: dict[str, Stack], tmp_path: Path
) -> None:
    _, folder, rules = stacks[locale]
    data = group(rules["ProbeTargetFailing"])
    (one,) = data["alerts"]
    data["alerts"] = [{**one, "annotations": {**one["annotations"], "acknowledged_by": by}} for by in holders]
    parts = rendered(with_signatures(locale, folder, tmp_path), data)
    link = "/alerts/ProbeTargetFailing/acknowledge?signature="
    assert [parts[p].count(link) for p in ("techsapo.text", "techsapo.slack.text")] == [1, 1]
    for by in filter(None, holders):
        assert by in parts["techsapo.text"]
    assert not any("\n\n\n" in text for text in parts.values())


STARTS = (
    "2026-01-01T00:00:00Z", "2028-02-29T23:59:59.999Z", "2026-12-31T23:59:59.001Z",
    "2026-11-27T05:07:09+09:00",
)  # fmt: skip


@each_row("start", STARTS)
@each_row("locale", LANGUAGES)
def test_the_link_that_alertmanager_makes_is_signed_for_the_start_of_its_alert_and_no_other(
    start: str, locale: str, stacks: dict[str, Stack], tmp_path: Path
) -> None:
    _, folder, rules = stacks[locale]
    data = group(rules["ProbeTargetFailing"])
    data["alerts"][0]["startsAt"] = start
    parts = rendered(with_signatures(locale, folder, tmp_path), data)
    key = key_file(topology_of(spec_of(), tmp_path).layout).read_bytes().strip()
    made = signature(key, "techsapo", "ProbeTargetFailing", int(datetime.fromisoformat(start).timestamp()))
    link = f"{SITE}/alerts/ProbeTargetFailing/acknowledge?signature={made}"
    assert f": {link}\n" in parts["techsapo.text"]
    assert f"<{link}|" in parts["techsapo.slack.text"]


@each_row("locale", LANGUAGES)
def test_slack_says_since_when_the_first_of_those_fires_that_still_do(
    locale: str, stacks: dict[str, Stack]
) -> None:
    _, folder, rules = stacks[locale]
    data = group(rules["TargetDown"])
    (one,) = data["alerts"]
    times = [("resolved", "18:00"), ("firing", "20:30"), ("firing", "20:10"), ("firing", "20:20")]
    data["alerts"] = [{**one, "status": s, "startsAt": f"2026-11-26T{t}:00Z"} for s, t in times]

    def since() -> str:
        return rendered(folder, data)["techsapo.slack.since.value"]

    assert since() == moment_text(datetime(2026, 11, 26, 20, 10, tzinfo=UTC))
    data["alerts"] = [{**each, "status": "resolved"} for each in data["alerts"]]
    assert since() == moment_text(datetime(2026, 11, 26, 18, 0, tzinfo=UTC))


@each_row("locale", LANGUAGES)
def test_the_next_receivers_hear_since_when_the_alert_itself_fires(
    locale: str, stacks: dict[str, Stack]
) -> None:
    _, folder, rules = stacks[locale]
    data = group(rules["AppDown"])
    (one,) = data["alerts"]
    began = "2026-11-26 19:45:00 JST"
    data["alerts"] = [{**one, "annotations": {**one["annotations"], "fires_since": began}}]
    parts = rendered(folder, data)
    assert parts["techsapo.slack.since.value"] == began
    assert f": {began}\n" in parts["techsapo.text"]
    data["alerts"][0]["status"] = data["status"] = "resolved"
    parts = rendered(folder, data)
    assert all(f"\n{began} " in parts[part] for part in ("techsapo.text", "techsapo.slack.text"))


@each_row("status", ["firing", "resolved"])
@each_row("locale", LANGUAGES)
def test_a_test_is_no_call_to_act(status: str, locale: str, stacks: dict[str, Stack], tmp_path: Path) -> None:
    _, folder, rules = stacks[locale]
    signed = with_signatures(locale, folder, tmp_path)
    rule = rules["AppDown"]
    parts = rendered(signed, group(rule, status=status, **{TEST_LABEL: "1"}))
    over = {"en": ", resolved", "ja": " 復旧"}[locale] if status == "resolved" else ""
    for part in ("techsapo.title", "techsapo.slack.title", "techsapo.slack.fallback"):
        assert parts[part].startswith(f"[TEST{over}] AppDown")
    assert parts["techsapo.color"] != "danger"
    for part in ("techsapo.text", "techsapo.slack.text"):
        assert "/acknowledge" not in parts[part]


@each_row("name", ["ProviderDown", "TargetDown", "DiskFilling"])
@each_row("locale", LANGUAGES)
def test_a_hostile_label_makes_no_link_and_calls_nobody(
    name: str, locale: str, stacks: dict[str, Stack]
) -> None:
    _, folder, rules = stacks[locale]
    hostile = group(rules[name], count=6, text=HOSTILE, instance=HOSTILE, severity=HOSTILE, priority=HOSTILE)
    parts = rendered(folder, hostile)
    message = as_slack(parts)  # refuses every <, > and & that is not ours
    assert {url for url, _ in message.links if not url.startswith(SITE)} == set()
    for text in (message.text, parts["techsapo.text"]):
        assert not re.search(r"^手順書: https://evil", text, re.MULTILINE), "a line like ours"
        assert "‮" not in text
        assert len(text) < 12_000
    assert "\n" not in parts["techsapo.title"]


def test_slack_and_mail_take_what_alertmanager_sends(tmp_path: Path) -> None:
    with incoming_webhook() as channel, mail_server() as box:
        notifications = notified({
            "critical": [
                {"kind": "slack", "url": channel.url},
                {"kind": "email", "to": "ops@example.com"},
            ],
            "smtp": {
                "smarthost": f"127.0.0.1:{box.port}", "sender": "techsapo@example.com", "require_tls": False
            },
        })  # fmt: skip
        spec = spec_of(
            app={"public_url": SITE}, notifications=notifications,
            monitoring={"alertmanager": {"group_wait": "1s", "group_interval": "1s"}},
        )  # fmt: skip
        files = monitoring_files(spec, tmp_path)
        write([f for f in files.values() if f.path.startswith("alertmanager/")], tmp_path)
        write(secret_files(topology_of(spec, tmp_path)), tmp_path)
        rule = alert_rule(spec, alerts()["ConfidenceLow"], ())  # one that waits for others of its group
        sent = [group(rule, instance=f"app-{n} {HOSTILE}", text=HOSTILE)["alerts"][0] for n in range(6)]
        config = files["alertmanager/alertmanager.yml"].content
        with servers.alertmanager(config, tmp_path / "alertmanager") as server:
            for ends in (timedelta(hours=1), timedelta(seconds=-1)):
                post(server.url, sent, ends)
                firing = ends > timedelta(0)
                servers.wait_for(
                    lambda count=2 - firing: (
                        len(channel.messages) + len(channel.refused) >= count
                        and len(box.messages) + len(box.refused) >= count
                    ),
                    timeout=60,
                )
    assert (channel.refused, box.refused) == ([], [])
    first, last = channel.messages
    assert (first.color, last.color) == ("danger", "good")
    assert first.title_link == f"{SITE}/runbooks/{rule['alert']}"
    assert first.fields["スタック"] == "techsapo"
    assert {url for url, _ in first.links if not url.startswith(SITE)} == set()
    firing_mail = box.messages[0]
    assert firing_mail["Subject"].startswith(f"[発生 6 件] {rule['alert']}")
    assert (firing_mail["From"], firing_mail["To"]) == ("techsapo@example.com", "ops@example.com")
    body = firing_mail.get_body(("plain",))
    assert body is not None
    assert f"手順書: {SITE}/runbooks/{rule['alert']}" in body.get_content()


def post(url: str, sent: list[dict[str, Any]], ends: timedelta) -> None:
    """Hand alerts to Alertmanager as Prometheus does; with `ends` in the past they are resolved.

    They begin now: of one that began longer ago than `group_wait` it tells before it has read the others.
    """
    now = datetime.now(UTC)
    body = [
        {
            "labels": alert["labels"],
            "annotations": alert["annotations"],
            "startsAt": min(now, now + ends).isoformat(),
            "endsAt": (now + ends).isoformat(),
        }
        for alert in sent
    ]
    request = urllib.request.Request(
        f"{url}/api/v2/alerts", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    urllib.request.urlopen(request, timeout=60).close()


@each_row(
    "text",
    ["a <!channel> b", "<https://evil.example|x> & more", "1 < 2", "<mailto:a@b|c>", "&nbsp;", "<@U1>"],
)
def test_the_stand_in_refuses_markup_that_was_not_escaped(text: str) -> None:
    with pytest.raises(slack.Refused):
        parsed(
            json.dumps(
                {"attachments": [{"fallback": "x", "text": text, "title": "x", "color": "good"}]}
            ).encode(),
            frozenset(),
        )
