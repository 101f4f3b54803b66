from __future__ import annotations

import json
from pathlib import Path

from rows import each_row
from stacks import rendered, spec, topology, with_alerts

from techsapo_ops.catalogue.jobs import jobs
from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.spec.models.upkeep import Schedule
from techsapo_ops.stack.desired import RenderedFile

HERE = Path("/opt/stack")

RULES = "prometheus/rules/recording.yml"


def expected(files: dict[str, RenderedFile], path: str) -> set[str]:
    groups = read_yaml(files[path].content)["groups"]
    return {
        r["labels"]["name"] for g in groups for r in g["rules"] if r["record"] == "techsapo:job_expected:info"
    }


def test_the_scheduler_is_told_the_schedule() -> None:
    wanted = spec(schedule={"drift": None, "timeouts": {"costs": "1m"}}, monitoring=with_alerts())
    file = rendered(wanted, topology(wanted, HERE))["schedule/jobs.json"]
    read = Schedule.model_validate(json.loads(file.content))
    assert read.times() == wanted.schedule.times()
    assert read.timeouts == {"costs": "1m"}


@each_row("by", ["cron", "none"])
def test_where_others_start_the_jobs_the_stack_has_no_scheduler(by: str) -> None:
    wanted = spec(schedule={"by": by}, monitoring=with_alerts())
    files = rendered(wanted, topology(wanted, HERE))
    assert "schedule/jobs.json" not in files
    assert "[program:scheduler]" not in files["supervisor/supervisord.conf"].content


def test_the_jobs_that_somebody_starts_are_expected() -> None:
    wanted = spec(schedule={"drift": None}, monitoring=with_alerts())
    files = rendered(wanted, topology(wanted, HERE))
    assert expected(files, RULES) == set(jobs()) - {"drift", "feedback"}
    assert expected(files, f"docker/config/{RULES}") == set()


@each_row(
    "sections, path",
    [
        ({"schedule": {"by": "none"}, "monitoring": with_alerts()}, RULES),
        ({"monitoring": {"exporters": {"node": None}}}, RULES),
    ],
)
def test_no_job_is_expected_where_nobody_starts_or_tells_of_it(
    sections: dict[str, object], path: str
) -> None:
    wanted = spec(**sections)
    assert expected(rendered(wanted, topology(wanted, HERE)), path) == set()


def test_cron_starts_the_jobs_of_containers_too() -> None:
    schedule = {"by": "cron", "feedback": "0 9 * * 1-5"}
    asked = {"prompt": "masked", "answers": "masked"}
    wanted = spec(schedule=schedule, audit=asked, monitoring=with_alerts())
    files = rendered(wanted, topology(wanted, HERE, "compose"))
    assert expected(files, f"docker/config/{RULES}") == set(jobs())
