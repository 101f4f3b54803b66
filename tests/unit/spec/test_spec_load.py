"""What a good spec comes out as: defaults, variables, overlays, secrets, masking, warnings."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from fuzzing import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from rows import each_row

from techsapo_ops.render.templates import Templates
from techsapo_ops.spec.cron import trigger
from techsapo_ops.spec.load import LoadedSpec, load
from techsapo_ops.spec.machines import evidence_at
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.models.notifications import SlackReceiver
from techsapo_ops.spec.models.upkeep import Schedule
from techsapo_ops.spec.problems import SpecError
from techsapo_ops.spec.secret import Secret

Loader = Callable[..., LoadedSpec]
EXAMPLES = sorted((Path(__file__).parents[3] / "examples").glob("*.yaml"))
REAL = """
  a: {kind: openai, model: m, api_key: k}
  b: {kind: google, model: m, api_key: k}
"""


def test_a_project_alone_is_valid_and_gets_every_default(loaded: Loader) -> None:
    result = loaded("project: techsapo\n")
    assert result.spec == Spec(project="techsapo", schedule=Schedule(verify_offsite=None, evidence=None))
    assert len(result.spec.providers) == result.spec.wallbounce.tiers.critical.providers
    assert result.spec.app.port == 4000
    assert (result.warnings, dict(result.disabled), result.environment) == ((), {}, None)


@each_row("path", EXAMPLES, ids=lambda p: p.name)
def test_every_example_loads_without_any_variable_set(path: Path, loaded: Loader) -> None:
    assert loaded(path.read_text(encoding="utf-8")).spec.project


def test_the_guides_example_is_the_whole_guide(loaded: Loader) -> None:
    text = next(p for p in EXAMPLES if p.name == "guide.yaml").read_text(encoding="utf-8")
    result = loaded(text)
    instances = [(i.port, i.weight, i.backup) for i in result.spec.app.instances]
    assert instances == [(4000, 3, False), (4001, 2, False), (4002, 1, True)]
    assert set(result.disabled) == {"gpt", "gemini", "claude", "openrouter"}
    keys = dict.fromkeys(("OPENAI_API_KEY", "GEMINI_API_KEY", "ANTHROPIC_API_KEY", "OPENROUTER_API_KEY"), "k")
    env = {**keys, "GRAFANA_PASSWORD": "fresh", "SLACK_URL": "https://hooks.slack.com/x"}
    watched = re.sub(r"# (watcher: .*)url_file: secrets/watcher", r"\1url: 'https://hc-ping.com/x'", text)
    watched = watched.replace("# watchdog:", "watchdog:")
    production = loaded(watched, env=env, environment="production")
    assert list(production.spec.providers) == ["gpt", "gemini", "claude", "openrouter"]
    assert production.spec.logs.level == "warn"
    assert production.warnings == ()


def test_a_section_whose_lines_are_all_comments_is_as_good_as_absent(loaded: Loader) -> None:
    text = "project: x\nmonitoring:\n  grafana:\n  # port: 3000\nproviders:\nenvironments:\n"
    assert loaded(text).spec == loaded("project: x").spec


def test_an_empty_mysql_section_warns_that_it_means_none(loaded: Loader) -> None:
    result = loaded("project: x\nmysql:\n")
    assert result.spec.mysql is None
    assert [str(w) for w in result.warnings] == [
        "techsapo.yaml:2:1 mysql: is empty, so the stack runs without MySQL; "
        "write `mysql: {}` for MySQL with the defaults, or remove the line"
    ]
    assert loaded("project: x\nmysql: {}\n").spec.mysql is not None


def test_variables_fill_text_numbers_and_switches(loaded: Loader) -> None:
    env = {"NAME": "shop", "PORT": "4010", "ON": "true", "EMPTY": ""}
    spec = loaded(
        "project: ${NAME}-${EMPTY:-prod}\napp: {port: '${PORT}'}\nnginx: {hsts: '${ON}'}\n"
        "logs: {level: '${LEVEL:-debug}'}\nbackup: {path: '$${NAME}/$x:${TAG:-}1'}\n",
        env=env,
    ).spec
    assert (spec.project, spec.app.port) == ("shop-prod", 4010)
    assert (spec.nginx.hsts, spec.logs.level) == (True, "debug")
    assert spec.backup.path == "${NAME}/$x:1"


@each_row("value", ["a\nredis: {port: 1}", "{b: c}", "- x", "&a x", "*a", "${NAME}", "'\"#: ", "%@`"])
def test_a_variable_can_not_bring_in_structure(value: str, loaded: Loader) -> None:
    spec = loaded("project: x\nredis: {password: '${V}'}\n", env={"V": value}).spec
    assert spec.redis.password is not None
    assert spec.redis.password.reveal() == value
    assert spec.redis.port == 6379


def test_variables_are_not_looked_for_in_keys(loaded: Loader) -> None:
    with pytest.raises(SpecError, match=r"images.\$\{V\}: unknown key"):
        loaded("project: x\nimages: {'${V}': x}\n", env={"V": "app"})


def test_a_provider_without_its_variable_is_disabled_by_name(loaded: Loader) -> None:
    text = f"project: x\nproviders:\n  gpt: {{kind: openai, model: m, api_key: '${{KEY}}'}}{REAL}"
    result = loaded(text)
    assert list(result.spec.providers) == ["a", "b"]
    assert dict(result.disabled) == {"gpt": "KEY is not set"}
    assert [str(w) for w in result.warnings] == [
        "techsapo.yaml:3:42 providers.gpt.api_key: the variable KEY is not set, so provider gpt is disabled; "
        "set the variable in the environment or in .env"
    ]
    assert loaded(text, env={"KEY": ""}).disabled == {"gpt": "KEY is not set"}
    assert "gpt" in loaded(text, env={"KEY": "k"}).spec.providers


def test_other_mistakes_of_a_disabled_provider_are_still_told(loaded: Loader) -> None:
    text = f"project: x\nproviders:\n  c: {{kind: openai-compatible, base_url: '${{U}}', modle: m}}{REAL}"
    with pytest.raises(SpecError) as caught:
        loaded(text)
    assert [str(p) for p in caught.value.problems] == [
        "techsapo.yaml:3:3 providers.c.model: is missing",
        "techsapo.yaml:3:50 providers.c.modle: unknown key; did you mean model?",
    ]


def test_a_provider_that_is_off_needs_neither_variable_nor_file(loaded: Loader) -> None:
    off = "enabled: false, kind: openai, model: m"
    result = loaded(
        f"project: x\nproviders:\n  c: {{{off}, api_key: '${{U}}'}}\n  d: {{{off}, api_key_file: none}}{REAL}"
    )
    assert result.warnings == ()
    assert list(result.spec.providers) == ["d", "a", "b"]


def test_one_real_provider_beside_simulated_ones_warns(loaded: Loader) -> None:
    text = (
        "project: x\nproviders:\n  s1: {kind: simulated}\n  s2: {kind: simulated}\n"
        "  gpt: {kind: openai, model: m, api_key: k}\n"
    )
    (warning,) = loaded(text).warnings
    assert warning.path == "providers"
    assert warning.message.startswith(
        "only 1 real provider (gpt), but an analysis compares the answers of 2 "
    )


def test_a_tier_that_asks_for_more_providers_than_there_are_warns(loaded: Loader) -> None:
    tiers = "wallbounce: {tiers: {critical: {providers: 5, confidence: 0.9}}}\n"
    assert [w.message for w in loaded(f"project: x\n{tiers}").warnings] == [
        "needs 5 providers, but only 4 are available"
    ]


@each_row(
    "text, needed",
    [
        ("app: {host: 0.0.0.0}", True),
        ("app: {host: 127.0.0.2}", False),
        ("app: {host: '::1'}", False),
        ("app: {host: localhost}", False),
        ("app: {auth: {required: true}}", True),
        ("nginx: {host: 192.0.2.1}", False),
        ("nginx: {host: 192.0.2.1, enabled: true}", True),
    ],
)
def test_beyond_loopback_questions_need_a_key(text: str, needed: bool, loaded: Loader) -> None:
    assert loaded(f"project: x\n{text}\n").spec.needs_keys is needed


def test_keys_can_not_be_turned_off_where_others_reach_the_app(loaded: Loader) -> None:
    with pytest.raises(SpecError, match=r"app\.auth\.required.*without an API key"):
        loaded("project: x\napp: {host: 0.0.0.0, auth: {required: false}}\n")


def test_services_meet_on_one_port_of_one_address_where_both_run(loaded: Loader) -> None:
    assert loaded("project: x\napp: {host: 127.0.0.2, port: 9090}\n").spec.app.port == 9090
    with pytest.raises(SpecError, match="is already used by Prometheus"):
        loaded("project: x\napp: {host: 0.0.0.0, port: 9090}\n")
    text = "project: x\napp: {port: 3000}\nredis: {port: 3306}\nmonitoring: {grafana: {enabled: false}}\n"
    assert loaded(text).spec.app.port == 3000


OVERLAY = """
project: x
redis: {port: 6380, maxmemory: 1G, password: base}
mysql: {}
schedule: {backup: "0 1 * * *"}
app: {instances: [{port: 4000}, {port: 4001}]}
providers:
  a: {kind: openai, model: m, api_key: k}
  b: {kind: google, model: m, api_key: k}
  c: {kind: simulated, seed: 4}
environments:
  qa:
    redis: {port: 6381, password_file: r}
    mysql: null
    schedule: {backup: null}
    app: {instances: [{port: 4005}]}
    providers:
      a: null
      c: {kind: anthropic, model: m, api_key: k}
"""


def test_an_overlay_is_merged_key_by_key_and_null_removes(loaded: Loader) -> None:
    base = loaded(OVERLAY).spec
    spec = loaded(OVERLAY, files={"r": "overlay\n"}, environment="qa").spec
    assert (base.redis.port, spec.redis.port, spec.redis.maxmemory) == (6380, 6381, "1G")
    assert (base.mysql is None, spec.mysql) == (False, None)
    assert [i.port for i in spec.app.instances] == [4005]
    assert list(spec.providers) == ["b", "c"]
    assert spec.providers["c"].kind == "anthropic"
    assert base.environments == spec.environments == {}
    assert (spec.schedule.backup, spec.schedule.verify) == (None, "0 4 * * *"), "null turns a job off"
    secret = spec.redis.password
    assert secret == Secret("overlay"), "it takes the place of the other spelling"
    assert secret is not None
    assert secret.file == "r"


def test_production_needs_no_overlay_to_be_chosen(loaded: Loader) -> None:
    meant = "accepted_exposures: {no-watcher: a trial, no-critical-receiver: a trial}\n"
    text = f"project: x\nproviders: {REAL}monitoring: {{grafana: {{admin_password_file: g}}}}\n{meant}"
    result = loaded(text, files={"g": "fresh"}, environment="production")
    assert result.environment == "production"
    assert result.spec.monitoring.grafana.admin_password.reveal() == "fresh"


def test_secrets_are_read_from_their_files_without_the_last_line_break(loaded: Loader) -> None:
    text = (
        "project: x\nnotifications: {receivers: {a: {kind: slack, url_file: s}}}\nredis: {password_file: r}\n"
    )
    spec = loaded(text, files={"s": "https://hooks\r\n", "r": " two\nlines \n"}).spec
    receiver = spec.notifications.receivers["a"]
    assert receiver.kind == "slack"
    assert receiver.url == Secret("https://hooks")
    assert spec.redis.password == Secret(" two\nlines ")


def test_anchors_and_merge_keys_work_and_own_keys_win(loaded: Loader) -> None:
    text = (
        "project: x\nnotifications:\n  receivers:\n    a: &slack {kind: slack, url: 'https://u'}\n"
        "    b: {<<: *slack, url: 'https://v'}\n"
        "  critical: &all [a]\n  warning: *all\n"
        "app: {instances: [&i {port: 4000, weight: 3}, {<<: *i, port: 4001}]}\n"
    )
    spec = loaded(text).spec
    assert spec.notifications.warning == spec.notifications.critical
    assert spec.notifications.receivers["b"] == SlackReceiver(kind="slack", url=Secret("https://v"))
    assert [(i.port, i.weight) for i in spec.app.instances] == [(4000, 3), (4001, 3)]


@each_row("size", ["10", "10485760", "512K", "10M", "1g", "2TB"])
def test_sizes_are_written_with_or_without_a_unit(size: str, loaded: Loader) -> None:
    assert loaded(f"project: x\nlogs: {{max_size: {size}}}\n").spec.logs.max_size == size


def test_a_part_of_a_checked_spec_can_be_loaded_without_the_rules_across_fields() -> None:
    part = "project: x\nredis: {port: 9090}\n"  # the whole has Prometheus elsewhere
    assert load(part, {}, str, cross_check=False).spec.redis.port == 9090
    with pytest.raises(SpecError, match="is already used by Prometheus"):
        load(part, {}, str)


CRON_FIELDS = st.sampled_from(
    ["*", "*/2", "*/5", "0", "7", "8", "23", "31", "0,6", "1,12", "1-5", "*/0", "*/99", "60", "mon"]
)


@settings(deadline=None, max_examples=examples(30))
@given(st.lists(CRON_FIELDS, min_size=4, max_size=6).map(" ".join))
def test_a_schedule_is_valid_exactly_when_the_scheduler_takes_it(expression: str) -> None:
    text = f"project: x\nschedule: {{backup: '{expression}'}}\n"
    try:
        trigger(expression, "UTC")
    except ValueError:
        with pytest.raises(SpecError, match="is not a cron expression"):
            load(text, {}, str)
    else:
        assert load(text, {}, str).spec.schedule.backup == expression


def test_a_key_file_whose_name_lacks_its_variable_disables_the_provider(loaded: Loader) -> None:
    text = f"project: x\nproviders:\n  g: {{kind: google, model: m, api_key_file: '${{KEYS}}/g'}}{REAL}"
    assert dict(loaded(text).disabled) == {"g": "KEYS is not set"}
    assert "g" in loaded(text, env={"KEYS": "k"}, files={"k/g": "secret"}).spec.providers


def test_every_commented_line_of_the_init_template_works_when_it_is_taken_in(loaded: Loader) -> None:
    text = Templates().render(
        "init/techsapo.yaml.j2", project="x", grafana_password_file="g", public_url="", notifications={}
    )
    body = text.partition("\n\n")[2]
    taken_in = re.sub(r"(?m)^# (?=[a-z]+:|  )", "", body)
    assert taken_in.count("\n#") < body.count("\n#") / 2
    keys = dict.fromkeys(re.findall(r"\$\{(\w+)\}", body), "k")
    files = dict.fromkeys(("g", "secrets/slack", "secrets/webhook", "secrets/watcher"), "https://s")
    result = loaded(taken_in, env=keys, files=files, environment="production")
    real = {"gpt", "gemini", "claude", "openrouter", "ollama", "claude-sub"}
    assert set(result.spec.providers) == real
    assert len(result.spec.notifications.critical) == 2
    assert result.spec.unreached == ()
    assert result.spec.logs.level == "warn"


def test_logins_in_urls_are_warned_of_without_being_shown(loaded: Loader) -> None:
    text = """
project: x
providers:
  a: {kind: openai-compatible, model: m, base_url: 'https://me:hunter2@a/v1'}
  b: {kind: google, model: m, base_url: 'https://b/v1?key=hunter2', api_key: k}
monitoring: {runbook_url: 'https://me:hunter2@docs.example.com/'}
certificates: {site: {directory: 'https://me:hunter2@ca.example.com/dir'}}
backup: {offsite: {restic: 'rest:https://me:hunter2@backup.example.com/', password: p}}
"""
    warnings = loaded(text).warnings
    assert [w.path for w in warnings] == [
        "providers.a.base_url", "providers.b.base_url", "monitoring.runbook_url",
        "certificates.site.directory", "backup.offsite.restic",
    ]  # fmt: skip
    assert "hunter2" not in "".join(map(str, warnings))


@each_row(
    "section",
    [
        "providers: {a: {kind: openai-compatible, model: m, base_url: 'https://a/v1?version=2'}, "
        "b: {kind: openai-compatible, model: m, base_url: 'https://a/@scope/v1'}}",
        "backup: {offsite: {restic: 'sftp:me@backup.example.com:/b', password: p}}",
    ],
)
def test_a_url_without_a_login_is_no_warning(loaded: Loader, section: str) -> None:
    assert loaded(f"project: x\n{section}\n").warnings == ()


@each_row(
    "more, times",
    [
        ("", (None, "30 10 * * 3")),
        ("backup: {offsite: {restic: /away, password: p}}", ("0 5 * * 0", "30 10 * * 3")),
        ("monitoring: {alertmanager: {enabled: false}}", (None, None)),
        ("monitoring: {prometheus: {enabled: false}}", (None, None)),
        ('schedule: {verify_offsite: "0 9 * * 1", drill_alert: null}', ("0 9 * * 1", None)),
    ],
)
def test_a_job_with_nothing_to_do_has_no_time_unless_the_file_gives_one(
    more: str, times: tuple[str | None, str | None], loaded: Loader
) -> None:
    schedule = loaded(f"project: x\n{more}").spec.schedule
    assert (schedule.verify_offsite, schedule.drill_alert) == times
    assert schedule.report is not None


@each_row(
    "written, level",
    [
        ("mask: secrets", "secrets"),
        ("mask: personal", "personal"),
        ('mask: "off"', "off"),
        ("mask: false", "off"),
    ],
)
def test_the_spec_says_how_much_is_masked(written: str, level: str, loaded: Loader) -> None:
    assert loaded(f"project: x\nwallbounce: {{{written}}}").spec.wallbounce.mask == level


def test_where_the_spec_says_nothing_secrets_are_masked(loaded: Loader) -> None:
    assert loaded("project: x").spec.wallbounce.mask == "secrets"


def test_a_bare_off_which_yaml_readers_disagree_on_is_refused_with_both_spellings(loaded: Loader) -> None:
    with pytest.raises(SpecError, match='write false, or "off"'):
        loaded("project: x\nwallbounce: {mask: off}")


@each_row(
    "url, said",
    [
        ("https://shop.example.com/health?token=abc123", True),
        ("https://shop.example.com/health?x=1&api_key=abc123", True),
        ("https://shop.example.com/health?X-Amz-Signature=abc123", True),
        ("https://shop.example.com/health?page=2", False),
        ("https://shop.example.com/health?token=", False),
        ("tls://mail.example.com:465", False),
    ],
)
def test_a_key_in_a_probes_query_is_warned_of_and_not_shown(loaded: Loader, url: str, said: bool) -> None:
    found = loaded(f"project: x\nmonitoring: {{probes: [{{name: shop, url: '{url}'}}]}}\n").warnings
    told = [str(problem) for problem in found if problem.path == "monitoring.probes.0.url"]
    assert bool(told) == said
    assert all("can be read in prometheus.yml" in line and "abc123" not in line for line in told)


@each_row(
    "sections, at",
    [
        ("", None),
        ("investigate: {}\n", "* * * * *"),
        ("schedule: {evidence: '0 * * * *'}\n", "0 * * * *"),
        ("investigate: {}\nschedule: {evidence: null}\n", None),
    ],
)
def test_the_app_is_given_evidence_only_where_alerts_are_investigated(
    loaded: Loader, sections: str, at: str | None
) -> None:
    assert loaded(f"project: techsapo\n{sections}").spec.schedule.evidence == at


def test_the_name_of_a_unit_is_no_option_of_systemctl(loaded: Loader) -> None:
    """`-Hdb1` would have it go to another host by ssh."""
    log = "{kind: journald, unit: -Hdb1}"
    text = f"project: x\ninvestigate: {{services: [{{name: shop, match: {{job: shop}}, logs: [{log}]}}]}}\n"
    with pytest.raises(SpecError, match="unit"):
        loaded(text)


def test_on_several_hosts_it_is_given_less_often_since_that_takes_the_lock() -> None:
    hosts = {name: {"address": f"10.0.0.{n}", "docker": f"ssh://{name}"} for n, name in enumerate("abc", 1)}
    assert evidence_at(Spec(project="techsapo", hosts=hosts)) == "*/5 * * * *"
