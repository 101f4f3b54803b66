"""Which alert holds back which, asked of a real Alertmanager on the generated configuration.

Each pair of the catalogue's `muted_by` is a case of its own, with labels as tests/cases/alerts has them.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import servers
from alert_cases import load_cases
from machines_spec import ON_MACHINES
from monitoring_stack import monitoring_files, spec_of, write
from rows import each_row

from techsapo_ops.catalogue.alerts import alerts
from techsapo_ops.services.alertmanager.configuration import TEST_LABEL

pytestmark = pytest.mark.lab

Labels = dict[str, str]
PAIRS = [(cause, a.name) for a in alerts().values() for cause in a.muted_by]
APART = [(cause, effect, label) for cause, effect in PAIRS for label in alerts()[effect].muted_by[cause]]


class Held:
    """An Alertmanager that is told of alerts, and says which of them it holds back."""

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=f"{url}/api/v2", timeout=60, trust_env=False)
        self._firing: list[Labels] = []

    def fire(self, name: str, /, **changed: str) -> Labels:
        """Let an alert fire with the labels of its first case and `changed` ones. Returns its labels."""
        alert = alerts()[name]
        own = {"alertname": name, "severity": alert.severity, "priority": alert.priority}
        labels = {**own, "service": alert.service, **labels_of(name), **changed}
        self._firing.append(labels)
        self._post([labels], datetime.now(UTC) + timedelta(minutes=10))
        return labels

    def end(self) -> None:
        """End all of them."""
        if self._firing:
            self._post(self._firing, datetime.now(UTC))
        self._firing.clear()

    def held_back(self, labels: Labels) -> list[str]:
        """Names of the alerts for which this one is held back."""
        found = self._client.get("/alerts").raise_for_status().json()
        by = next(a["status"]["inhibitedBy"] for a in found if a["labels"] == labels)
        return [a["labels"]["alertname"] for a in found if a["fingerprint"] in by]

    def _post(self, firing: list[Labels], ends: datetime) -> None:
        alert: list[dict[str, Any]] = [{"labels": labels, "endsAt": ends.isoformat()} for labels in firing]
        self._client.post("/alerts", json=alert).raise_for_status()


def labels_of(name: str) -> Labels:
    """What tells this alert from others of its name, by its first firing case."""
    first = load_cases()[name]["fires"][0]["alerts"][0]
    return {label: str(value) for label, value in first.get("labels", {}).items()}


@dataclass(frozen=True)
class Both:
    """Alertmanagers as a stack has them on one machine and on several."""

    one: Held
    several: Held

    def of(self, *names: str) -> Held:
        """The one whose stack can have these alerts, with nothing firing in it."""
        found = self.several if any(alerts()[name].machines for name in names) else self.one
        found.end()
        return found


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    specs = {"one": spec_of(notifications={}), "several": spec_of(ON_MACHINES)}
    with ExitStack() as running:
        found = {}
        for name, spec in specs.items():
            directory = tmp_path_factory.mktemp(name)
            files = monitoring_files(spec, directory, "native" if name == "one" else "swarm")
            write(files.values(), directory)
            config = files["alertmanager/alertmanager.yml"].content
            found[name] = Held(running.enter_context(servers.alertmanager(config, directory / "am")).url)
        yield Both(**found)


def equal(cause: str, effect: str) -> Labels:
    """The values of the labels that must be equal, as the cause has them."""
    return {label: labels_of(cause)[label] for label in alerts()[effect].muted_by[cause]}


@each_row("cause, effect", PAIRS)
def test_a_cause_mutes_its_effect_until_it_is_over(both: Both, cause: str, effect: str) -> None:
    held = both.of(cause, effect)
    follows = held.fire(effect, **equal(cause, effect))
    assert held.held_back(follows) == []
    held.fire(cause)
    servers.wait_for(lambda: held.held_back(follows) == [cause], what=f"{effect} is held back")
    held.end()
    again = held.fire(effect, **equal(cause, effect))
    servers.wait_for(lambda: held.held_back(again) == [], what=f"{effect} is free again")


@each_row("cause, effect, label", APART)
def test_a_cause_does_not_mute_what_another_thing_suffers(
    both: Both, cause: str, effect: str, label: str
) -> None:
    held = both.of(cause, effect)
    same = equal(cause, effect)
    its, another = held.fire(effect, **same), held.fire(effect, **{**same, label: "another"})
    held.fire(cause)
    servers.wait_for(lambda: held.held_back(its) == [cause], what=f"{effect} is held back")
    assert held.held_back(another) == []


@each_row("several", [False, True])
def test_with_everything_on_fire_an_alert_is_held_back_by_what_its_entry_names_alone(
    both: Both, several: bool
) -> None:
    held = both.several if several else both.of()
    held.end()
    fired = {name: held.fire(name) for name in alerts()}
    free = {name for name, alert in alerts().items() if not alert.muted_by}
    servers.wait_for(lambda: bool(held.held_back(fired["AnalysesFailing"])))
    by = {name: held.held_back(labels) for name, labels in fired.items()}
    assert {name for name in free if by[name]} == set()
    assert {name: set(found) - set(alerts()[name].muted_by) for name, found in by.items() if found} == {
        name: set() for name, found in by.items() if found
    }


def test_a_synthetic_alert_neither_mutes_a_real_one_nor_is_muted(both: Both) -> None:
    held = both.of()
    number = uuid.uuid4().hex[:8]
    held.fire("AppDown", **{TEST_LABEL: number})
    real = held.fire("AnalysesFailing")
    synthetic = held.fire("ErrorBudgetBurnFast", **{TEST_LABEL: number})
    slow = held.fire("ErrorBudgetBurnSlow")
    servers.wait_for(lambda: held.held_back(slow) == ["AnalysesFailing"])
    assert held.held_back(real) == []
    assert held.held_back(synthetic) == []
