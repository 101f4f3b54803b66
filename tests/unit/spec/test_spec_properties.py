"""What holds for any input: only SpecError is raised, no secret is shown, data comes back the same."""

from __future__ import annotations

import json
import string
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from fuzzing import examples
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.spec.load import LoadedSpec, SpecError, load
from techsapo_ops.spec.models.base import CONTROL
from techsapo_ops.spec.redact import resolved, secrets_of, to_yaml_data
from techsapo_ops.spec.variables import parse_dotenv
from techsapo_ops.stack.templates import to_yaml

CANARY = "s3cr3t-c4nary"
GUIDE = (Path(__file__).parents[3] / "examples/guide.yaml").read_text(encoding="utf-8")
KEYS = sorted(
    set(string.ascii_lowercase) | {"port", "kind", "app", "redis", "providers", "environments", "<<"}
)

relaxed = settings(
    deadline=None,
    max_examples=examples(20),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


def attempt(
    text: str, env: Mapping[str, str] | None = None, environment: str | None = None
) -> LoadedSpec | None:
    def read_secret(path: str) -> str:
        return CANARY

    try:
        return load(text, env or {}, read_secret, environment=environment)
    except SpecError as error:
        caught = error
    assert caught.problems
    assert all(p.line >= 1 and p.column >= 1 and p.message for p in caught.problems)
    assert len(caught.message.splitlines()) == len(caught.problems)
    return None


@relaxed
@given(st.text())
@example("\ud800")
@example("\x00")
@example("? ? a")
@example("{a: 1, <<: {<<: [1]}}")
def test_no_text_makes_the_loader_raise_anything_else(text: str) -> None:
    attempt(text)


@relaxed
@given(st.text(alphabet=" \n\t-:{}[]&*!|>'\"#%@`,?a1.\u3042\u2028$<~", max_size=60))
def test_no_soup_of_yaml_signs_makes_the_loader_raise_anything_else(text: str) -> None:
    attempt(text)
    attempt(f"project: x\n{text}", environment="production")


variables = st.sampled_from(["${A}", "${B:-x}", "$${"])
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | variables
trees = st.recursive(
    scalars,
    lambda below: st.one_of(
        st.lists(below, max_size=3),
        st.dictionaries(st.one_of(st.sampled_from(KEYS), st.text(max_size=5)), below, max_size=4),
    ),
    max_leaves=12,
)


@relaxed
@given(st.data())
def test_no_change_to_a_good_spec_makes_the_loader_raise_anything_else(data: st.DataObject) -> None:
    spec: Any = read_yaml(GUIDE)
    node, path = spec, []
    while isinstance(node, dict | list) and node and data.draw(st.integers(0, 5)):
        keys = sorted(node) if isinstance(node, dict) else range(len(node))
        key: Any = data.draw(st.sampled_from(keys))
        path.append((node, key))
        node = node[key]
    if path:
        parent, key = path[-1]
        parent[key] = data.draw(trees)
        if isinstance(parent, dict) and data.draw(st.booleans()):
            parent[data.draw(st.sampled_from(KEYS))] = data.draw(trees)
    environment = data.draw(st.sampled_from([None, "production", "qa"]))
    attempt(yaml.safe_dump(spec, allow_unicode=True), {"A": "a"}, environment)


values = st.text(max_size=40).map(lambda s: f"{CANARY}{s}")


@relaxed
@given(values, values, values)
def test_nothing_that_is_shown_ever_holds_a_secret(first: str, second: str, third: str) -> None:
    env = {"A": first, "B": second, "C": third, "U": f"https://hooks/{CANARY}"}
    text = (
        "project: x\nredis: {password: '${A}'}\nmysql: {password: '${B}'}\n"
        "monitoring: {grafana: {admin_password: '${C}'}}\n"
        "providers:\n  a: {kind: openai, model: m, api_key: '${A}'}\n"
        "  b: {kind: google, model: m, api_key_file: f}\n"
        "notifications:\n  receivers:\n    a: {kind: slack, url: '${U}'}\n"
        "    b: {kind: alertmanager, config: {pagerduty_configs: [{routing_key: '${C}', url: '${A}'}]}}\n"
        "backup: {offsite: {restic: 'rest:https://u:s3cr3t-c4nary@host/', password: '${C}'}}\n"
    )
    result = attempt(text, env)
    assert result is not None
    shown = [json.dumps(resolved(result.spec), ensure_ascii=False), repr(result), str(result.spec)]
    config = {name: value for name, value in json.loads(shown[0]).items() if name != "notifications"}
    assert CANARY not in shown[0]
    assert config["monitoring"]["grafana"]["admin_password"] == "********"
    assert config["providers"]["b"]["api_key_file"] == "f"
    secrets = secrets_of(result.spec)
    assert {s.reveal() for s in secrets.values()} == {*env.values(), CANARY}
    assert not any(CANARY in repr(s) + str(s) + f"{s}" for s in secrets.values())


LINES = """\
app: {port: '${A}'}
app: {host: '${A}'}
app: {drain: '${A}'}
app: {instances: '${A}'}
logs: {level: '${A}'}
logs: {compress: '${A}'}
logs: {max_size: '${A}'}
schedule: {backup: '${A}'}
schedule: {backup: '0 2 * * ${A}'}
nginx: {server_name: '-${A}'}
nginx: {certificate: '${A}'}
notifications: {smtp: {smarthost: '${A}', sender: a@b}}
notifications: {receivers: {a: {kind: '${A}'}}}
notifications: {smtp: {smarthost: 'm:1', sender: '${A}'}}
notifications: {receivers: {a: {kind: email, to: '${A}'}}}
notifications: {receivers: {a: {kind: slack, url: '${A}'}}}
notifications: {critical: ['${A}']}
monitoring: {runbook_url: '${A}'}
monitoring: {alerts: {AppDown: {threshold: '${A}'}}}
providers: {a: {kind: '${A}', model: m}}
mysql: {user: '-${A}'}
budget: {monthly_usd: '${A}'}
redis: '${A}'
images: '${A}'
""".splitlines()


@settings(relaxed, max_examples=examples(4))
@given(value=values)
def test_no_error_shows_what_a_variable_holds(value: str) -> None:
    for line in LINES:
        with pytest.raises(SpecError) as caught:
            load(f"project: x\n{line}\n", {"A": value}, str)
        assert CANARY not in caught.value.message, line


@relaxed
@given(
    st.text(max_size=30),
    st.text(min_size=1, max_size=30),
    st.sampled_from(["${A}", "$${A}", "$$${A}", "${", "$", "$$"]),
)
def test_the_resolved_spec_loads_again_as_the_same_spec(text: str, secret: str, odd: str) -> None:
    env = {"SLACK_URL": "https://hooks", "GRAFANA_PASSWORD": odd}
    first = load(GUIDE, env, lambda path: secret).spec
    discord = {"discord_configs": [{"title": text + odd, "n": [1, 2.5, True, None]}]}
    raw = {"kind": "alertmanager", "config": discord}
    receiver = type(first.notifications).model_validate(
        {"receivers": {"raw": raw}, "info": ["raw"], "smtp": {"smarthost": "a:1", "sender": "x@y"}}
    )
    spec = first.model_copy(
        update={"notifications": receiver, "template_overrides": f"x{CONTROL.sub('', text)}{odd}"}
    )
    secrets = secrets_of(spec)
    data = to_yaml_data(spec, lambda path: f"secrets/{path}")
    written = to_yaml(data)
    again = load(written, {"A": "changed"}, lambda path: secrets[path.removeprefix("secrets/")].reveal()).spec
    assert to_yaml_data(again, lambda path: f"secrets/{path}") == data
    assert {p: s.reveal() for p, s in secrets_of(again).items()} == {
        p: s.reveal().rstrip("\r\n") for p, s in secrets.items()
    }
    assert again.template_overrides == spec.template_overrides
    assert again.notifications == spec.notifications
    assert list(data) == [name for name in type(spec).model_fields if name in data]


@relaxed
@given(
    st.dictionaries(
        st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True),
        st.text(
            alphabet=st.characters(exclude_characters="\n\r\x85\u2028\u2029\x0b\x0c\x1c\x1d\x1e'"),
            max_size=20,
        ),
    )
)
def test_single_quotes_in_dotenv_keep_everything(variables: dict[str, str]) -> None:
    assert parse_dotenv("".join(f"{name}='{value}'\n" for name, value in variables.items())) == variables


@relaxed
@given(st.text())
def test_no_dotenv_text_raises_anything_but_spec_error(text: str) -> None:
    with suppress(SpecError):
        parse_dotenv(text)
