"""alertmanager.yml and the notification texts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from fakes.notified import notified
from monitoring_stack import monitoring_file, spec_of, topology_of
from rows import each_row

from techsapo_ops.catalogue.alerts import Alert, alerts
from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.errors import OpsError
from techsapo_ops.render.stack import secret_files
from techsapo_ops.spec.models.base import seconds
from techsapo_ops.stack.desired import RenderedFile

HOSTILE = ['"', "'", "\\", ";", "# x", "${x}", "a: b", "日本語", "%(x)s", " x ", "x" * 4000]
SMTP = {"smarthost": "mail.example:587", "sender": "a@example.com", "password": "hunter2-mail"}
BLACKBOX = {"blackbox": 9115}
HOOK = {"kind": "webhook", "url": "https://a"}
SLACK = {"kind": "slack", "url": "https://b"}


def rendered(engine: Any = "native", **sections: Any) -> RenderedFile:
    if "notifications" in sections:
        sections["notifications"] = notified(sections["notifications"])
    return monitoring_file("alertmanager/alertmanager.yml", spec_of(**sections), engine=engine)


def config(engine: Any = "native", **sections: Any) -> dict[str, Any]:
    parsed: dict[str, Any] = read_yaml(rendered(engine, **sections).content)
    return parsed


def receivers(**notifications: Any) -> dict[str, dict[str, Any]]:
    return {r["name"]: r for r in config(notifications=notifications)["receivers"]}


def plain(text: str) -> str:
    """What Go's template engine makes of a text whose only actions are quoted braces."""
    assert re.sub(r'\{\{ "\{\{" \}\}', "", text).count("{{") == 0
    return text.replace('{{ "{{" }}', "{{")


def test_secrets_are_named_by_file_and_never_written() -> None:
    content = rendered().content
    assert "hooks.example" not in content
    assert "hunter2" not in content
    smtp = config()["global"]
    assert smtp["smtp_auth_password_file"] == "/srv/techsapo/secrets/notifications-smtp-password"
    assert "smtp_auth_password" not in smtp
    inside = config("compose")["global"]
    assert inside["smtp_auth_password_file"] == "/run/secrets/notifications-smtp-password"


def test_every_secret_file_that_is_named_is_rendered() -> None:
    spec = spec_of()
    made = {f.path for f in secret_files(topology_of(spec, Path("/srv/techsapo")))}
    named = set(re.findall(r"/srv/techsapo/(secrets/[\w.-]+)", rendered().content))
    assert named
    assert named - made == set()


def test_what_has_a_message_of_its_own_has_one_for_the_next_receivers_too() -> None:
    found = config(notifications={"critical": [HOOK], "next": [{"after": "15m", "receivers": [HOOK]}]})
    (route,) = (r for r in found["route"]["routes"] if r["receiver"] == "next.0")
    assert route["matchers"] == ['next="0"']
    apart = {label for alert in alerts().values() if not alert.machines for label in alert.apart}
    assert "provider" in apart
    assert set(route["group_by"]) == {"alertname", "service"} | apart


def test_values_come_back_as_they_were_written() -> None:
    values = [*HOSTILE, "{{ .CommonLabels }}", "{{{", "}}", "{{-", '{{ "']
    for value in values:
        smtp = config(notifications={"smtp": {**SMTP, "sender": value, "username": value}})["global"]
        assert (plain(smtp["smtp_from"]), smtp["smtp_auth_username"]) == (value, value)
    raw = [{"api_key": value, "tags": [value], value: {"n": 1, "b": True}} for value in values]
    critical = [
        *({"kind": "email", "to": value} for value in values),
        {"kind": "alertmanager", "config": {"opsgenie_configs": raw}},
    ]
    found = receivers(critical=critical, smtp=SMTP)["critical"]
    assert [plain(c["to"]) for c in found["email_configs"]] == values
    assert found["opsgenie_configs"] == raw


def test_a_receiver_passed_through_may_hold_secrets_so_alertmanager_alone_reads_the_file() -> None:
    with_raw = rendered()
    assert (with_raw.mode, with_raw.secret, with_raw.owner) == (0o600, True, "alertmanager")
    without = rendered(notifications={})
    assert (without.mode, without.secret, without.owner) == (0o644, False, None)


@each_row(
    "notifications, words",
    [
        ({"critical": [{"kind": "slack"}]}, r"notifications\.receivers\.critical_0: slack has no url"),
        ({"info": [{"kind": "webhook"}]}, r"notifications\.receivers\.info_0: webhook has no url"),
        ({"warning": [{"kind": "email", "to": "a@b.c"}]}, r"notifications\.receivers\.warning_0: e-mail"),
    ],
)
def test_a_receiver_that_could_never_send_is_refused(notifications: dict[str, Any], words: str) -> None:
    with pytest.raises(OpsError, match=words):
        config(notifications=notifications)


def muted(**sections: Any) -> set[str]:
    """Each pair of an alert that mutes and one that is muted, with the labels that must be equal."""
    found = set()
    for rule in config(**sections).get("inhibit_rules", ()):
        (source, ours), (target, theirs) = rule["source_matchers"], rule["target_matchers"]
        assert ours == theirs == 'techsapo_test=""'
        cause = source.removeprefix('alertname="').removesuffix('"')
        for effect in target.removeprefix('alertname=~"').removesuffix('"').split("|"):
            found.add(f"{cause} {effect} {' '.join(rule.get('equal', ()))}".strip())
    return found


def test_an_alert_is_muted_by_those_that_the_catalogue_names_and_by_no_others() -> None:
    assert muted() == {
        f"{cause} {alert.name} {' '.join(labels)}".strip()
        for alert in alerts().values()
        for cause, labels in alert.muted_by.items()
        if not (alert.machines or alerts()[cause].machines)
    }


def test_what_a_stack_does_not_run_or_turned_off_mutes_nothing() -> None:
    def gone(**sections: Any) -> set[str]:
        return muted() - muted(**sections)

    def with_one_of(names: set[str]) -> set[str]:
        return {pair for pair in muted() if names & set(pair.split()[:2])}

    def of(exporter: str) -> set[str]:
        return with_one_of({a.name for a in alerts().values() if a.exporter == exporter})

    assert gone(mysql=None) == of("mysqld-exporter")
    assert gone(nginx={"enabled": False}, app={}) == of("nginx-exporter")
    blackbox = {"blackbox": 9115}
    assert gone(monitoring={"exporters": {"redis": None, **blackbox}}) == of("redis-exporter")
    alerts_off = {"DiskFilling": {"enabled": False}, "BudgetExhausted": {"enabled": False}}
    off = {"monitoring": {"alerts": alerts_off, "exporters": blackbox}}
    assert gone(**off) == with_one_of({"DiskFilling", "BudgetExhausted"})


def test_what_is_no_hurry_waits_for_business_hours_where_there_are_any() -> None:
    assert "time_intervals" not in config()
    hours = {"days": ["monday", "saturday"], "start": "08:30", "end": "24:00", "timezone": "UTC"}
    found = config(notifications={"business_hours": hours})
    (interval,) = found["time_intervals"]
    assert interval["time_intervals"] == [
        {
            "weekdays": hours["days"],
            "times": [{"start_time": "08:30", "end_time": "24:00"}],
            "location": "UTC",
        }
    ]
    routes = [(r["receiver"], r["matchers"], "active_time_intervals" in r) for r in found["route"]["routes"]]
    assert routes[-5:] == [
        ("critical", ['severity="critical"'], False),
        ("warning", ['severity="warning"', 'priority="P2"'], True),
        ("warning", ['severity="warning"'], False),
        ("info", ['severity="info"', 'priority="P2"'], True),
        ("info", ['severity="info"'], False),
    ]


def by_name(**sections: Any) -> dict[str, dict[str, Any]]:
    """Routes that are for alerts by name, by each alert's."""
    found = {}
    for route in config(**sections)["route"]["routes"]:
        matcher = route["matchers"][0]
        if matcher.startswith('alertname=~"'):
            found |= dict.fromkeys(matcher.removeprefix('alertname=~"').removesuffix('"').split("|"), route)
    return found


def test_an_alert_with_a_route_of_its_own_reaches_whom_its_severity_or_its_page_does() -> None:
    hours = by_name(notifications={"business_hours": {}, "page": [HOOK], "warning": [SLACK]})
    for name, route in hours.items():
        alert = alerts()[name]
        wanted = "page" if alert.page else alert.severity
        assert route["receiver"] == ("page-failing" if name == "NotificationsFailing" else wanted)
        patient = alert.priority == "P2" and alert.severity != "critical" and not alert.page
        assert route.get("active_time_intervals", []) == (["business-hours"] if patient else [])


def test_a_drill_that_pages_reaches_who_is_woken_before_its_severity_says_otherwise() -> None:
    routes = config(notifications={"business_hours": {}})["route"]["routes"]
    first = next(r for r in routes if r["matchers"] == ['page="true"'])
    assert first["receiver"] == "page"
    assert "active_time_intervals" not in first
    assert routes.index(first) < min(n for n, r in enumerate(routes) if r["receiver"] == "info")


def test_pages_have_receivers_of_their_own_and_else_those_of_critical() -> None:
    secrets = "/srv/techsapo/secrets/"

    def paged(**lists: Any) -> list[str]:
        (config,) = receivers(**lists)["page"]["webhook_configs"]
        return [config["url_file"]]

    assert paged(page=[HOOK], critical=[SLACK]) == [f"{secrets}notifications-receivers-page_0-url"]
    assert paged(critical=[HOOK]) == [f"{secrets}notifications-receivers-critical_0-url"]


def test_that_pages_can_not_be_delivered_reaches_a_receiver_of_another_kind_as_well() -> None:
    found = receivers(page=[HOOK], critical=[HOOK], warning=[HOOK, SLACK])
    assert {"webhook_configs", "slack_configs"} <= found["page-failing"].keys()
    assert "slack_configs" not in found["page"]
    assert by_name(notifications={"page": [HOOK]})["NotificationsFailing"]["receiver"] == "page"


def test_what_cuts_users_off_is_told_at_once_and_each_provider_that_is_down_apart() -> None:
    found = by_name()
    at_once = {n: r["group_interval"] for n, r in found.items() if r.get("group_wait") == "0s"}
    assert {"AppDown", "ProviderDown", "CertificateAlmostExpired"} <= set(at_once)
    assert set(at_once.values()) == {"30s"}
    assert found["ProviderDown"]["group_by"] == ["alertname", "service", "provider"]
    urgent = {a.name for a in alerts().values() if a.page and not a.machines}
    assert {name for name in urgent if found[name]["group_interval"] != "30s"} == set()
    hasty = by_name(monitoring={"alertmanager": {"group_interval": "20s"}})
    assert "group_interval" not in hasty["AppDown"]


def test_an_alert_that_another_may_explain_waits_until_that_one_can_be_there() -> None:
    """A scrape, an evaluation, and what the cause has to hold for longer: else the effect is told first."""
    slow = {"prometheus": {"scrape_interval": "45s"}, "exporters": BLACKBOX}

    def longest(alert: Alert) -> float:
        causes = (alerts()[name] for name in alert.muted_by)
        return max([0.0, *(seconds(c.for_) - seconds(alert.for_) for c in causes if not c.machines)])

    effects = [
        alert
        for alert in alerts().values()
        if not alert.machines and any(not alerts()[cause].machines for cause in alert.muted_by)
    ]
    assert {a.name: longest(a) for a in effects if longest(a)} == {"RedisErrors": 60}
    waits = {name: seconds(route.get("group_wait", "0s")) for name, route in by_name().items()}
    assert {a.name: waits[a.name] for a in effects} == {a.name: 30 + longest(a) for a in effects}
    assert by_name(monitoring=slow)["ProbeFailing"]["group_wait"] == "1m30s"
    assert "MemoryHigh" not in by_name()
    assert "TargetDown" not in by_name(monitoring={"alertmanager": {"group_wait": "1m"}})
    assert "AuditErrors" not in by_name(mysql=None)


def test_a_cause_that_the_spec_makes_wait_is_waited_for_no_longer_than_a_groups_interval() -> None:
    def waits(redis_down: str, **alertmanager: str) -> str:
        alert = {"RedisDown": {"for": redis_down}}
        monitoring = {"alerts": alert, "alertmanager": alertmanager, "exporters": BLACKBOX}
        return str(by_name(monitoring=monitoring)["RedisErrors"]["group_wait"])

    assert waits("2m") == "2m30s"
    assert waits("2m5s") == "2m45s"  # it fires at an evaluation
    assert waits("1h") == "5m"
    assert waits("1h", group_interval="10s") == "30s"


def test_a_watcher_is_never_told_that_the_watchdog_is_over_as_it_takes_any_message_for_life() -> None:
    pager = {"routing_key_file": "/run/key", "send_resolved": True}
    raw: dict[str, Any] = {"pagerduty_configs": [pager], "sns_configs": [{}]}
    mail = {"kind": "email", "to": "ops@example.com"}
    kinds = [HOOK, SLACK, mail, {"kind": "alertmanager", "config": raw}]
    found = receivers(watchdog=kinds, critical=kinds, smtp=SMTP)

    def resolved(name: str) -> dict[str, Any]:
        return {k: c[0].get("send_resolved") for k, c in found[name].items() if k.endswith("_configs")}

    ours = ("webhook_configs", "slack_configs", "email_configs")
    assert resolved("watchdog") == dict.fromkeys([*ours, *raw], False)
    theirs = {"pagerduty_configs": True, "sns_configs": None}
    assert resolved("critical") == {**dict.fromkeys(ours, True), **theirs}


def test_what_is_for_the_record_is_one_message() -> None:
    found = config(notifications={"info": [HOOK]})
    (info,) = [each for each in found["receivers"] if each["name"] == "info"]
    assert info["webhook_configs"][0]["send_resolved"] is False
    routes = [r for r in found["route"]["routes"] if r["receiver"] == "info"]
    assert [r["repeat_interval"] for r in routes] == ["5d"] * len(routes)


def test_grouping_follows_the_spec() -> None:
    route = config(
        monitoring={"alertmanager": {"group_wait": "1s", "group_interval": "2m", "repeat_interval": "1h"}}
    )["route"]
    assert route["group_by"] == ["alertname", "service"]
    assert (route["group_wait"], route["group_interval"], route["repeat_interval"]) == ("1s", "2m", "1h")
    assert route["receiver"] == "warning"


def test_with_investigations_the_app_is_told_first_and_every_other_route_stays_as_it_is() -> None:
    plainly, told = config(), config(investigate={})
    first, *rest = told["route"]["routes"][2:]
    assert [r["receiver"] for r in told["route"]["routes"][:2]] == ["watchdog", "report"]
    assert rest == plainly["route"]["routes"][2:]
    assert told["receivers"][:-1] == plainly["receivers"]
    assert told["inhibit_rules"] == plainly["inhibit_rules"]
    assert first == {
        "receiver": "investigate", "matchers": ['next=""', 'techsapo_test=""', 'drill=""'], "continue": True,
        "group_wait": "0s", "group_interval": "10s", "repeat_interval": "4h",
    }  # fmt: skip


@each_row(
    "engine, file",
    [("native", "/srv/techsapo/keys/alerts-key.alertmanager"), ("compose", "/run/secrets/alerts-key")],
)
def test_every_instance_of_the_app_is_told_with_a_key_in_a_file(engine: str, file: str) -> None:
    told = config(engine, investigate={}, mysql={}, app={"instances": [{"port": 4001}, {"port": 4002}]})
    receiver = told["receivers"][-1]
    urls = [each["url"] for each in receiver["webhook_configs"]]
    hosts = ("127.0.0.1:4001", "127.0.0.1:4002") if engine == "native" else ("app-1:4000", "app-2:4000")
    assert urls == [f"http://{host}/api/v1/alerts" for host in hosts]
    for each in receiver["webhook_configs"]:
        assert each["http_config"] == {"authorization": {"credentials_file": file}}
        assert (each["max_alerts"], each["send_resolved"]) == (100, True)
