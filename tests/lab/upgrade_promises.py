"""What an upgrade and the way back promise, for both engines; the tests run in this order on one stack.

A later issue that changes a default or the place of a file adds a promise here, and to docs/upgrade.md.
"""

from __future__ import annotations

import json
from typing import Any

import httpx
import yaml
from monitoring_login import KINDS, status
from servers import wait_for
from tools import this_tool
from upgrade_lab import QUESTION, TEMPLATE, USERS_CRONTAB, Stack

from techsapo_ops.schedule.crontab import find_block, jobs_in
from techsapo_ops.spec.models.providers import OpenRouterProvider
from techsapo_ops.wallbounce.providers.openrouter import KIND


def whole(verified: dict[str, Any]) -> None:
    """See that `backup verify` found every source, and nothing wrong with any."""
    assert verified["ok"] is True
    problems = {part["kind"]: part["problems"] for part in verified["parts"]}
    assert problems == {"redis": [], "mysql": [], "config": []}


class Promises:
    """`stack` is as the earlier version left it, `upgraded` what this version's `up` said of it, and `back`
    what the earlier one's `up` said after that."""

    def test_an_up_of_the_earlier_version_that_was_killed_is_completed(
        self, stack: Stack, upgraded: str
    ) -> None:
        assert "completing it" in upgraded
        *_, interrupted, last = stack.project.applies()
        assert (interrupted.result, last.result) == ("failed", "ok")
        assert "while services were changed (done: redis)" in interrupted.reason

    def test_no_key_row_or_job_is_lost(self, stack: Stack, upgraded: str) -> None:
        assert len([what for what in stack.before if what.startswith("redis mine:")]) == 51
        for kind in ("redis", "audit_requests", "audit_calls", "API key", "run"):
            assert [what for what in stack.before if what.startswith(kind)], kind
        assert stack.lost() == {}

    def test_the_app_s_account_keeps_its_rights_so_that_the_earlier_version_can_be_gone_back_to(
        self, stack: Stack, upgraded: str
    ) -> None:
        assert stack.rights() == {"ALL PRIVILEGES"}

    def test_api_keys_open_what_they_opened_and_answers_are_kept_anew_with_a_seal(
        self, stack: Stack, upgraded: str
    ) -> None:
        assert stack.statuses(stack.key) == {200}
        assert stack.statuses(stack.revoked) == {401}
        assert stack.statuses(None) == {401}
        assert (
            stack.ask(QUESTION)["cache"] == "hit"
        )  # since it was asked a moment ago: the old one has no seal

    def test_answers_are_in_the_language_of_what_was_sent_as_before_and_say_so(
        self, stack: Stack, upgraded: str
    ) -> None:
        assert "answers are in the language of what was sent (wallbounce.language)" in upgraded
        assert stack.ask("the disk of db-1 is full")["language"] == "en"
        assert stack.ask(QUESTION)["language"] == "ja"

    def test_endpoints_behind_openrouter_are_chosen_as_before(self, stack: Stack, upgraded: str) -> None:
        """No provider of this stack is behind it, so nothing is said; what the app reads decides."""
        app = yaml.safe_load((stack.project.layout.config / "app/techsapo.yaml").read_text("utf-8"))
        assert "OpenRouter" not in upgraded
        routed = OpenRouterProvider.model_validate({"kind": "openrouter", "model": "a/b", "api_key": "k"})
        assert KIND.settled(routed, app["edition"]) == routed

    def test_redis_keeps_the_password_that_the_spec_gives_and_has_no_accounts(
        self, stack: Stack, upgraded: str
    ) -> None:
        assert "no login at Redis" not in upgraded
        assert not list(stack.project.layout.keys.glob("redis-*"))
        assert stack.redis().acl_users() == ["default"]

    def test_every_instance_runs_the_new_code(self, stack: Stack, upgraded: str) -> None:
        assert stack.outdated() == []
        assert set(stack.versions().values()) == {stack.version()}

    def test_other_host_names_are_still_answered_and_doctor_lists_them(
        self, stack: Stack, upgraded: str
    ) -> None:
        assert "any host name is answered (app.refuse_other_hosts)" in upgraded
        assert "without a key (app.auth.monitoring_networks)" in upgraded
        for url in stack.urls().values():
            asked = httpx.get(f"{url}/ping", headers={"Host": "web.example"}, timeout=60, trust_env=False)
            assert asked.status_code == 200
        told = stack.project.popen("doctor", "--json").communicate(timeout=60)[0]
        [found] = [f for f in json.loads(told)["findings"] if f["topic"] == "hosts"]
        assert "allowed_hosts: [web.example]" in found["remedy"]

    def test_plan_tells_that_a_new_version_asks_for_the_restart_and_ps_what_runs_after_it(
        self, stack: Stack, upgraded: str
    ) -> None:
        origins = {s["service"]: s["origin"] for s in stack.plan["steps"]}
        assert {origins[name] == ["version"] for name in stack.urls()} == {True}, origins
        told = stack.json("ps")
        shown = {s["service"]: s["build"] for s in told["services"]}
        for name, build in stack.builds().items():
            assert build.startswith(shown[name]), "an image names its code alone"
        assert told["build"].startswith(f"{stack.version()}+")

    def test_plan_says_what_the_first_up_restarts(self, stack: Stack, upgraded: str) -> None:
        restarted = {s["service"] for s in stack.plan["steps"] if s["action"] not in {"nothing", "reload"}}
        assert {*stack.restarted, *stack.urls()} <= restarted
        assert "mysql" in stack.restarted or "mysql" not in restarted

    def test_prometheus_has_the_new_alerts_and_up_says_that_they_reach_no_one(
        self, stack: Stack, upgraded: str
    ) -> None:
        groups = stack.project.ask("prometheus", "api/v1/rules?type=alert")["data"]["groups"]
        new = {
            "AnalysesFailing",
            "SamplesNotStored",
            "AlertmanagerNotFound",
            "ServiceRestarting",
            "RulesLate",
        }
        assert new <= {rule["name"] for group in groups for rule in group["rules"]}
        assert "alerts reach no one" in upgraded

    def test_nothing_is_pending(self, stack: Stack, upgraded: str) -> None:
        stack.project.run("plan")

    def test_scripts_of_before_name_the_spec_by_f(self, stack: Stack, upgraded: str) -> None:
        told = stack.project.run("validate", "-f", str(stack.project.directory / "techsapo.yaml"))
        assert "spec: " not in told.stderr, "it was named"

    def test_a_name_that_there_is_not_is_a_wrong_use_and_of_several_keys_of_a_name_none_is_revoked(
        self, stack: Stack, upgraded: str
    ) -> None:
        assert "there is no service postgres" in stack.project.run("restart", "postgres", code=2).stderr
        for _ in range(2):
            stack.json("keys", "create", "twice")
        stack.project.run("keys", "revoke", "twice", code=2)
        active = [k for k in stack.json("keys", "list") if k["name"] == "twice" and not k["revoked"]]
        assert len(active) == 2
        stack.project.run("keys", "revoke", "twice", "--all")

    def test_prometheus_and_alertmanager_ask_for_no_login_as_before_and_say_so(
        self, stack: Stack, upgraded: str
    ) -> None:
        made = stack.project
        assert [status(made, kind, "metrics") for kind in KINDS] == [200, 200]
        said = made.run("validate").stderr
        assert "Prometheus asks for no login (monitoring.prometheus.login)" in said
        assert "Alertmanager asks for no login (monitoring.alertmanager.login)" in said

    def test_prometheus_takes_no_orders_by_http_and_reloads_all_the_same(
        self, stack: Stack, upgraded: str
    ) -> None:
        for path in ("-/quit", "-/reload"):
            assert status(stack.project, "prometheus", path, b"") == 403
        done = stack.project.run("reload", *KINDS)
        assert done.stderr == "reloaded alertmanager, prometheus\n"

    def test_the_ejected_template_is_still_used_and_up_says_where_it_belongs(
        self, stack: Stack, upgraded: str
    ) -> None:
        assert f"are still used ({TEMPLATE}), but they belong in" in upgraded
        *_, mark = stack.template.read_text(encoding="utf-8").splitlines()
        assert mark.startswith("# mark ")
        assert mark in stack.redis_conf()

    def test_templates_that_are_moved_where_up_says_change_nothing(self, stack: Stack, upgraded: str) -> None:
        old = stack.project.directory / "templates"
        new = old.rename(old.with_name("template-overrides"))
        try:
            done = stack.project.run("plan")
            assert (done.stdout, "template_overrides" in done.stderr) == ("up to date\n", False)
        finally:
            new.rename(old)

    def test_the_cron_block_is_taken_over_and_starts_jobs(self, stack: Stack, upgraded: str) -> None:
        stack.cron_starts("costs")  # by the block as the earlier version wrote it: nothing asks for a new one
        stack.in_cron("install")
        crontab = stack.crontab()
        assert crontab.startswith(USERS_CRONTAB)
        spec_file = stack.project.directory / "techsapo.yaml"
        block = find_block(crontab.encode(), spec_file)
        assert crontab.encode() == USERS_CRONTAB.encode() + block, "one block alone"
        assert jobs_in(block) >= {"costs", "certs", "backup"}
        stack.in_cron("status")
        stack.cron_starts("certs")
        [run] = stack.json("jobs", "history", "certs")["runs"]
        assert (run["by"], run["result"]) == ("cron", "ok")

    def test_history_and_diff_know_the_applies_of_the_earlier_version(
        self, stack: Stack, upgraded: str
    ) -> None:
        told = stack.json("history")
        assert [a["result"] for a in told["applies"]] == ["ok", "failed", "ok"]
        assert told["current"] == 3
        changed = [f["path"] for f in stack.json("diff", "@1")["files"]]
        assert [path for path in changed if path.endswith("redis/redis.conf")]

    def test_a_backup_of_the_earlier_version_is_whole(self, stack: Stack, upgraded: str) -> None:
        said = stack.json("backup", "verify", stack.backup)
        whole(said)
        assert said["authentication"] == "unauthenticated"

    def test_a_backup_of_the_earlier_version_restores_data_and_configuration(
        self, stack: Stack, upgraded: str
    ) -> None:
        spec, template = stack.project.directory / "techsapo.yaml", stack.template
        stack.redis().delete("mine:1", "mine:hash")
        stack.sql("DELETE FROM audit_calls", migrates=True)
        stack.project.layout.api_keys.unlink()
        was = spec.read_text(), template.read_text(encoding="utf-8")
        for path in (spec, template):
            path.write_text(path.read_text(encoding="utf-8") + "# spoilt\n", encoding="utf-8")
        words = ("restore", stack.backup, "--only", "redis,mysql,config", "--yes")
        assert "--allow-unauthenticated" in stack.project.run(*words, code=1).stderr
        stack.project.run(*words, "--allow-unauthenticated", timeout=200)
        assert spec.read_text() == was[0]
        assert template.read_text(encoding="utf-8") == was[1].replace("# mark 2 #", "# mark 1 #")
        assert stack.lost() == {}
        assert stack.statuses(stack.key) == {200}
        assert stack.statuses(stack.revoked) == {401}

    def test_off_site_copies_go_on_beside_those_of_the_earlier_version(
        self, stack: Stack, upgraded: str
    ) -> None:
        stack.back_up_by_this_version()
        known = [tag for snapshot in stack.snapshots() for tag in snapshot["tags"]]
        assert {stack.backup, stack.newer_backup} <= set(known)

    def test_rollback_goes_back_to_an_apply_of_the_earlier_version(self, stack: Stack, upgraded: str) -> None:
        done = json.loads(stack.project.run("rollback", "@1", "--yes", "--json", timeout=200).stdout)
        assert done["to"] == 1
        assert "# mark 1 #" in stack.redis_conf()
        assert stack.statuses(stack.key) == {200}
        assert stack.rights() == {"ALL PRIVILEGES"}, "an app of then makes its tables itself"

    def test_an_up_of_this_version_that_was_killed_is_completed_by_the_earlier_one(
        self, stack: Stack, back: str
    ) -> None:
        assert stack.tool != this_tool()
        assert "completing it" in back
        *_, interrupted, last = stack.project.applies()
        assert (interrupted.result, last.result) == ("failed", "ok")

    def test_the_way_back_loses_no_key_row_or_job(self, stack: Stack, back: str) -> None:
        assert "redis mine:newer" in stack.before
        assert stack.lost() == {}

    def test_a_key_that_this_version_made_opens_the_api_of_the_earlier_one(
        self, stack: Stack, back: str
    ) -> None:
        assert stack.statuses(stack.key) == {200}
        assert stack.statuses(stack.revoked) == {401}

    def test_the_earlier_version_s_app_writes_its_audit_log(self, stack: Stack, back: str) -> None:
        assert stack.rights() == {"ALL PRIVILEGES"}
        before = stack.sql("SELECT COUNT(*) AS n FROM audit_requests")
        stack.ask("a question of the earlier version")
        wait_for(lambda: stack.sql("SELECT COUNT(*) AS n FROM audit_requests") != before, what="its row")

    def test_every_instance_runs_the_earlier_code_again(self, stack: Stack, back: str) -> None:
        assert stack.outdated() == []
        assert set(stack.versions().values()) == {stack.version()}
        stack.project.run("plan")

    def test_the_earlier_version_starts_what_this_one_has_stopped(self, stack: Stack, back: str) -> None:
        assert {s["state"] for s in stack.json("ps")["services"] if s["service"] == "alertmanager"} == {
            "running"
        }
        assert (stack.project.layout.state / "stopped.json").exists(), "it passes over the note"

    def test_the_earlier_version_reloads_prometheus_in_its_own_way(self, stack: Stack, back: str) -> None:
        assert status(stack.project, "prometheus", "-/reload", b"") == 200
        stack.project.run("reload", *KINDS)

    def test_the_earlier_version_knows_the_applies_of_this_one(self, stack: Stack, back: str) -> None:
        told = stack.json("history")
        assert len(told["applies"]) == told["current"], "none is unreadable"
        stack.json("diff", "@3")

    def test_the_earlier_version_verifies_the_backup_that_this_one_made(
        self, stack: Stack, back: str
    ) -> None:
        whole(stack.json("backup", "verify", stack.newer_backup))

    def test_the_earlier_version_s_cron_block_starts_jobs_again(self, stack: Stack, back: str) -> None:
        stack.cron_starts("costs")  # by the block as this version wrote it
        stack.in_cron("install")
        stack.cron_starts("prune")
