"""That nobody is told of alerts is told: by the commands that look, and on the Status page."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import in_process
import yaml
from fakes.notified import notified
from rows import each_row
from stacks import spec, topology

from techsapo_ops.spec.models import Spec
from techsapo_ops.stack.health import Level
from techsapo_ops.watch.alerts.delivery import look_at_notifications

SLACK = [{"kind": "slack", "url": "https://hooks.slack.com/x"}]
WATCHER = [{"kind": "webhook", "url": "https://hc-ping.com/x"}]
EXAMPLES = [
    {"kind": "slack", "url": "https://hooks.example.com/x"},
    {"kind": "email", "to": "Ops <ops@example.com>, on-call@mail.example"},
]
HERE = [{"kind": "webhook", "url": "http://127.0.0.1:9099/x"}]
FILL_IN = "alerts reach no one: replace the example addresses in notifications with real ones"
SITE = {"app": {"public_url": "https://ops.example.com"}}
NOBODY = (
    "alerts reach no one: write e.g. `notifications: {receivers: {team: {kind: slack, "
    "url_file: secrets/slack}}, critical: [team]}` (docs/alerts.md)"
)


def raw(config: dict[str, Any]) -> dict[str, Any]:
    """A receiver of Alertmanager's own."""
    return {"kind": "alertmanager", "config": config}


def later(*receivers: dict[str, Any], after: str = "15m") -> dict[str, Any]:
    """An entry of the next receivers."""
    return {"after": after, "receivers": list(receivers)}


NO_ONE = "alerts reach no one"
ALL = "critical warning info watchdog"


@each_row(
    "notifications, line, unreached",
    [
        ({}, NO_ONE, ALL),
        ({"watchdog": WATCHER}, NO_ONE, "critical warning info"),
        ({"warning": SLACK}, f"critical {NO_ONE}", "critical info watchdog"),
        ({"critical": SLACK}, "", "warning info watchdog"),
        ({"critical": [raw({}), raw({"webhook_configs": []})], "warning": [raw({})]}, NO_ONE, ALL),
        (
            {"critical": [raw({}), raw({"pagerduty_configs": [{"routing_key": "x"}]})]},
            "",
            "warning info watchdog",
        ),
        (
            {"next": [later(raw({}), after="5m"), later(*SLACK, *WATCHER)]},
            "alerts reach no one immediately; critical alerts reach slack and webhook only after 15m, if",
            "critical-at-once warning info watchdog",
        ),
        (
            {"warning": SLACK, "next": [later(*SLACK)]},
            "critical alerts reach no one immediately; critical alerts reach slack only after 15m",
            "critical-at-once info watchdog",
        ),
        ({"next": [later(raw({}))]}, f"{NO_ONE}: write", ALL),
        ({"critical": EXAMPLES, "watchdog": WATCHER}, FILL_IN, "critical warning info"),
        (
            {"critical": EXAMPLES, "warning": SLACK, "info": SLACK, "watchdog": HERE},
            f"critical {FILL_IN}",
            "critical watchdog",
        ),
        ({"page": WATCHER, "warning": SLACK, "info": SLACK}, f"critical {NO_ONE}", "critical watchdog"),
        (
            {"page": EXAMPLES, "critical": SLACK, "warning": SLACK, "info": SLACK},
            "alerts that wake people reach no one: name a receiver with a real address in notifications.page",
            "page watchdog",
        ),
        (
            {"page": [raw({})], "critical": SLACK, "next": [later(*SLACK)]},
            "alerts that wake people reach no one immediately; critical alerts reach slack only after 15m",
            "page-at-once warning info watchdog",
        ),
        # A gateway on this host may tell somebody, unlike a watcher there.
        ({"critical": HERE, "warning": [*EXAMPLES, *SLACK]}, "", "info watchdog"),
    ],
)
def test_a_spec_tells_which_alerts_reach_no_one(
    notifications: dict[str, Any], line: str, unreached: str
) -> None:
    made = Spec.model_validate({"project": "x", "notifications": notified(notifications)})
    assert list(made.unreached) == unreached.split()
    assert made.nobody_notified.startswith(line)
    assert bool(made.nobody_notified) == bool(line)


def test_without_alertmanager_nobody_is_told_and_without_prometheus_there_are_no_alerts() -> None:
    def without(server: str) -> tuple[str, list[str]]:
        monitoring, told = {server: {"enabled": False}}, notified({"critical": SLACK})
        made = Spec.model_validate({"project": "x", "monitoring": monitoring, "notifications": told})
        return made.nobody_notified, list(made.unreached)

    assert without("alertmanager") == (f"{NO_ONE}: monitoring.alertmanager is off", ALL.split())
    assert without("prometheus") == ("", [])


def test_doctor_notes_it_and_in_production_leaves_to_the_exposures_what_is_one(tmp_path: Path) -> None:
    where = topology(spec(**SITE, notifications=notified({"critical": SLACK})), tmp_path)
    silent = topology(spec(), tmp_path)
    production = replace(where.layout, environment="production")
    found = list(look_at_notifications(silent))
    assert {f.level for f in found} == {Level.NOTE}
    assert (found[0].detail, found[0].remedy) == tuple(NOBODY.split(": ", 1))
    assert list(look_at_notifications(silent.relocated(production))) == []
    (warnings,) = look_at_notifications(where.relocated(production))
    assert (warnings.level, warnings.detail) == (Level.WARNING, "alerts of severity warning reach no one")


def techsapo(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return in_process.techsapo(folder, *words, env={"PATH": ""})


@each_row("command", [("validate",), ("health", "--timeout", "0.1"), ("alerts", "list")])
def test_a_command_that_looks_says_it_once_and_keeps_its_exit_code(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    file = tmp_path / "techsapo.yaml"
    file.write_text("project: x\n")
    silent = techsapo(tmp_path, *command)
    assert silent.stderr.splitlines().count(NOBODY) == 1
    assert NOBODY not in silent.stdout
    told = json.loads(techsapo(tmp_path, *command, "--json").stdout)
    assert told["unreached"] == ["critical", "warning", "info", "watchdog"]
    if command[0] != "alerts":
        assert NOBODY not in techsapo(tmp_path, *command, "-q").stderr
    file.write_text(yaml.safe_dump({"project": "x", "notifications": notified({"critical": SLACK})}))
    reached = techsapo(tmp_path, *command)
    assert "alerts reach no one" not in reached.stderr
    assert reached.returncode == silent.returncode
    assert "critical" not in json.loads(techsapo(tmp_path, *command, "--json").stdout)["unreached"]
