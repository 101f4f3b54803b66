"""The alerts, their pages and their cases."""

from __future__ import annotations

import re
from pathlib import Path

from alert_cases import load_cases
from rows import each_row

from techsapo_ops.catalogue.alerts import SEVERITIES, Alert, alerts, promql_number, server_up
from techsapo_ops.catalogue.pages import LOCALES, Runbook, runbooks
from techsapo_ops.catalogue.series import (
    EPISODES_JOB,
    JOB_EXPECTED,
    SCHEDULER_EXPECTED,
    job_metrics,
    metric_names,
    metrics,
    recording_rules,
)
from techsapo_ops.spec.models.base import seconds
from techsapo_ops.spec.watched import BUILT_IN_JOBS

every_alert = each_row("alert", alerts().values(), ids=lambda a: a.name)
ALWAYS_FIRING = {"Watchdog"}
ON_PURPOSE = {"MachineDrained"}
"""Alerts of what somebody does: no trouble of its own, however bad what it explains would be."""


@every_alert
def test_an_alert_is_complete_and_says_the_same_figures_in_both_languages(alert: Alert) -> None:
    assert alert.severity in SEVERITIES
    assert alert.priority in {"P0", "P1", "P2"}
    assert alert.service
    assert seconds(alert.for_) >= 0
    assert ("{threshold}" in alert.expr) == (alert.has_threshold)
    assert ("{minimum}" in alert.expr) == (alert.minimum is not None)
    for words in (alert.summary, alert.description):
        figures = {lang: sorted(re.findall(r"\{\w+\}|\{\{[^}]*\}\}", text)) for lang, text in words.items()}
        assert figures["ja"] == figures["en"]


def test_each_exporter_that_says_whether_its_server_answers_has_an_alert_on_it() -> None:
    found = {(a.exporter, a.expr.splitlines()[0]) for a in alerts().values() if a.exporter is not None}
    assert {(job, f'{series}{{job="{job}"}} == 0') for job, series in server_up().items()} <= found


@every_alert
def test_an_alert_is_muted_by_none_that_is_milder_or_that_wakes_nobody_where_it_does(alert: Alert) -> None:
    causes = [alerts()[name] for name in alert.muted_by if name not in ON_PURPOSE]
    assert [c.name for c in causes if SEVERITIES.index(c.severity) > SEVERITIES.index(alert.severity)] == []
    assert [c.name for c in causes if alert.page and not c.page] == []


def test_sixty_alerts_on_one_host_and_fifteen_more_on_several_are_enough_and_nine_of_them_wake_people() -> (
    None
):
    on_one = [alert for alert in alerts().values() if not alert.machines]
    assert len(on_one) <= 60
    assert len(alerts()) - len(on_one) <= 15
    assert {alert.name for alert in on_one if alert.page} == {
        "AppDown", "ProbeFailing", "AnalysesFailing", "ErrorBudgetBurnFast", "ResponseTimeHigh",
        "DiskAlmostFull", "DataMissing", "NotificationsFailing", "CertificateAlmostExpired",
    }  # fmt: skip
    assert [alert.name for alert in alerts().values() if alert.page and alert.severity == "info"] == []


def test_that_one_prometheus_does_not_reach_another_is_no_missing_target_beside_the_lost_host() -> None:
    (jobs,) = set(re.findall(r'job!~"([^"]+)"', alerts()["TargetDown"].expression(machines=3)))
    assert re.fullmatch(jobs, EPISODES_JOB)
    assert re.fullmatch(jobs, "techsapo-probes")
    assert EPISODES_JOB in BUILT_IN_JOBS, "nobody else may call a job so"


def test_a_drained_host_mutes_all_that_a_lost_one_does_and_the_loss_itself() -> None:
    for alert in alerts().values():
        if "MachineDown" in alert.muted_by:
            assert alert.muted_by["MachineDrained"] == alert.muted_by["MachineDown"], alert.name
    assert alerts()["MachineDown"].muted_by["MachineDrained"] == ("host",)
    few = alerts()["MembersFew"].expression(machines=3)
    assert "techsapo_host_drained_timestamp_seconds" in few, "as many fewer are as many as there should be"


@every_alert
def test_no_alert_mutes_itself_and_what_is_muted_through_another_says_so(alert: Alert) -> None:
    """Two that mute each other would both be silent, and Alertmanager lets a muted alert mute others."""
    assert alert.name not in alert.muted_by
    through = {far for near in alert.muted_by for far in alerts()[near].muted_by}
    assert alert.name not in through
    assert through - set(alert.muted_by) == set()


@every_alert
def test_an_alert_and_its_cause_both_carry_the_labels_by_which_one_mutes_the_other(alert: Alert) -> None:
    """Alertmanager takes two alerts without a label for equal: every one would mute every other."""

    def labels(name: str) -> list[set[str]]:
        cases = load_cases()[name]["fires"]
        return [set(fired.get("labels", ())) for case in cases for fired in case["alerts"]]

    for cause, equal in alert.muted_by.items():
        if alerts()[cause].machines and not alert.machines:
            equal = tuple(label for label in equal if label != "host")
        for carried in (*labels(alert.name), *labels(cause)):
            assert set(equal) - carried == set(), f"{alert.name} muted by {cause}: {carried}"


@each_row("page", ["alerts.md", "alerts.ja.md"])
def test_the_docs_say_of_each_alert_on_a_count_of_questions_what_few_users_mean(
    page: str, repository: Path
) -> None:
    table = (repository / "docs" / page).read_text(encoding="utf-8")
    rows = [row.split("|")[1] for row in table.splitlines() if row.startswith("| ")]
    counted = [
        alert.name
        for alert in alerts().values()
        if alert.minimum is not None and re.search(r"techsapo[:_](http|users|wallbounce|llm)_", alert.expr)
    ]
    assert len(counted) >= 10
    assert [name for name in counted if not any(re.search(rf"\b{name}\b", row) for row in rows)] == []


@every_alert
def test_the_queries_of_a_page_read_series_that_exist(alert: Alert, repository: Path) -> None:
    page = (repository / "techsapo_ops/catalogue/runbooks" / alert.runbook).read_text(encoding="utf-8")
    have = {series for m in metrics().values() for series in m.series}
    have |= {*job_metrics(), JOB_EXPECTED, SCHEDULER_EXPECTED}
    have |= {r.record for rules in recording_rules().values() for r in rules}
    queries = [q for q in re.findall(r"`([^`]+)`", page) if re.search(r"\btechsapo[:_]", q) and "$(" not in q]
    assert {n for q in queries for n in metric_names(q) if n.startswith("techsapo")} - have == set()


@every_alert
def test_an_alert_has_cases_in_which_it_fires_and_is_silent_and_that_say_whom_it_reaches(
    alert: Alert,
) -> None:
    cases = load_cases()[alert.name]
    assert all(case["alerts"] for case in cases["fires"])
    assert cases["fires"]
    assert bool(cases.get("silent")) == (alert.name not in ALWAYS_FIRING)
    assert cases.get("route"), "add e.g. `route: warning` to its file of cases"


def test_every_page_and_every_case_belongs_to_an_alert(repository: Path) -> None:
    pages = {p.name for p in (repository / "techsapo_ops/catalogue/runbooks").glob("*.md")} - {"README.md"}
    assert pages == {a.runbook for a in alerts().values()}
    assert set(load_cases()) == set(alerts())


def test_series_of_cases_carry_the_labels_of_a_real_scrape() -> None:
    for name, cases in load_cases().items():
        for case in [*cases["fires"], *cases.get("silent", [])]:
            for series, values in case["series"]:
                if series.startswith("ALERTS{"):
                    continue
                assert re.search(r'\{job="[^"]+",instance="[^"]+"', series), f"{name}: {series}"
                # promtool reads 0x20 as the hexadecimal number 32.
                assert not re.search(r"(^|[ _])0x", str(values)), f"{name}: {values}"


@each_row(
    "number, text",
    [
        (85.0, "85"),
        (0.7, "0.7"),
        (-1.5, "-1.5"),
        (1e-07, "1e-07"),
        (float("inf"), "+Inf"),
        (float("nan"), "NaN"),
    ],
)
def test_a_threshold_is_written_exactly(number: float, text: str) -> None:
    assert promql_number(number) == text


LONGEST_STEP = 260
"""Characters; two of them are a third of what Slack shows of a message before it folds it."""
PAGES = [(page, locale) for page in runbooks().values() for locale in LOCALES]
every_page = each_row("page, locale", PAGES, ids=[f"{page.name} ({locale})" for page, locale in PAGES])


@every_page
def test_a_page_says_in_one_language_what_it_means_how_to_check_and_how_to_fix(
    page: Runbook, locale: str
) -> None:
    text = page.text[locale]
    headings = {"ja": ["意味", "確認", "対処"], "en": ["What it means", "How to check", "How to fix"]}
    parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)
    assert (parts[0], parts[1::2]) == (f"# {page.name}\n\n", headings[locale])
    assert all(len(part.strip()) > 20 for part in parts[2::2])
    assert bool(re.search(r"[ぁ-ん]", text)) == (locale == "ja")
    assert "#english" not in text


@every_page
def test_a_list_says_in_one_sentence_what_an_alert_means(page: Runbook, locale: str) -> None:
    meaning = page.meaning(locale)
    assert re.fullmatch(r"[^。]+。" if locale == "ja" else r"(?:[^.]|\.(?=\S))+\.", meaning), meaning
    assert all(meaning.count(left) == meaning.count(right) for left, right in ("()", "（）"))


@every_page
def test_the_first_two_steps_of_the_check_stand_alone_in_a_message(page: Runbook, locale: str) -> None:
    steps = page.steps(locale)
    assert len(steps) == 2, "the check is a numbered list of two steps or more"
    for step in steps:
        assert 10 <= len(step) <= LONGEST_STEP, step
        assert "\n" not in step
        assert not re.search(r"\]\(|\*\*|^#|[<>]\w", step), "nothing that is only read as Markdown or HTML"
        assert step.count("`") % 2 == 0
        assert "://" not in re.sub(r"`[^`]*`", "", step), (
            "what is no command is made a link, which opens on the host alone"
        )
    assert not re.search(r"\bsee (above|below)\b|\bstep \d|手順 ?\d", " ".join(steps)), steps


@every_page
def test_the_links_of_a_page_lead_to_pages_that_there_are(page: Runbook, locale: str) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", page.text[locale]):
        assert re.fullmatch(r"https://\S+", target) or target.removesuffix(".md") in runbooks(), target
