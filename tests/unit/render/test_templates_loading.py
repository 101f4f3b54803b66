"""Templates: ours, the operator's, and what is said when one is broken."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rows import each_row

from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.errors import OpsError
from techsapo_ops.render.templates import Templates
from techsapo_ops.spec.models import Spec
from techsapo_ops.stack.templates import go_template_text, to_json, to_yaml

GROUPS = {"groups": [{"name": "g", "rules": []}]}
RULES = "prometheus/rules.yml.j2"


def override(tmp_path: Path, name: str, text: str | bytes) -> Templates:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return Templates(tmp_path)


def test_the_operators_template_takes_the_place_of_ours(tmp_path: Path) -> None:
    templates = override(tmp_path, RULES, "mine: {{ groups | length }}\n")
    assert templates.render(RULES, **GROUPS) == "mine: 1\n"
    assert templates.source(RULES) == "mine: {{ groups | length }}\n"
    assert templates.overridden(RULES)
    assert templates.render("prometheus/prometheus.yml.j2", **PROMETHEUS).startswith("# Written by techsapo")


PROMETHEUS: dict[str, Any] = {
    "scrape_interval": "15s", "external_labels": {}, "rules": "rules", "own_rules": [], "replica": None,
    "alertmanagers": [], "jobs": [],
}  # fmt: skip


def test_an_override_may_extend_ours_and_change_one_block(tmp_path: Path) -> None:
    name = "prometheus/prometheus.yml.j2"
    ours = "{{ super() }}  - job_name: mine\n"
    text = f"{{% extends 'builtin/{name}' %}}{{% block scrape_configs %}}{ours}{{% endblock %}}"
    job = {"name": "app", "path": "/metrics", "scheme": "http", "login": None, "targets": []}
    templates = override(tmp_path, name, text)
    config = read_yaml(templates.render(name, **{**PROMETHEUS, "jobs": [job]}))
    assert [c["job_name"] for c in config["scrape_configs"]] == ["app", "mine"]
    assert config["rule_files"] == ["rules/recording.yml", "rules/alerts.yml"]


@each_row(
    "text, line, words",
    [
        ("a\n{% if %}\n", 2, "Expected an expression"),
        ("a\nb\n{{ gruops }}\n", 3, "'gruops' is undefined"),
        ("a\n{{ groups | to_yml }}\n", 2, "No filter named 'to_yml'"),
        ("{{ groups[0].name.x.y }}\n", 1, "has no attribute 'x'"),
        ("a\n\n{{ 1 // 0 }}\n", 3, "division"),
        ("{{ groups + 1 }}\n", 1, "can only concatenate"),
        ("{% extends 'builtin/prometheus/rules.yml.j2x' %}\n", None, "builtin/prometheus/rules.yml.j2x"),
        (b"\xff\xfe", None, "decode"),
    ],
)
def test_a_broken_template_is_told_with_its_file_and_line(
    text: str | bytes, line: int | None, words: str, tmp_path: Path
) -> None:
    templates = override(tmp_path, RULES, text)
    with pytest.raises(OpsError) as caught:
        templates.render(RULES, **GROUPS)
    assert words in caught.value.message
    if line is not None:
        assert f"{tmp_path / RULES}:{line}: " in caught.value.message


def test_an_unknown_template_is_answered_with_the_one_that_was_meant() -> None:
    with pytest.raises(OpsError) as caught:
        Templates().render("rules.yml.j2")
    assert "did you mean prometheus/rules.yml.j2" in str(caught.value)
    with pytest.raises(OpsError, match="no template"):
        Templates().source("nothing.j2")


scalars = st.one_of(
    st.text(alphabet=st.characters(exclude_categories=["Cs"])),
    st.integers(),
    st.booleans(),
    st.none(),
    st.sampled_from(["1e9", "010", "yes", "n", "0x1f", "1:30", "~", "- a", "a: b", "#", "2026-01-01"]),
    st.sampled_from(["|", "a\nb\n"]),
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text('abc:# \n"') | st.just("long" * 50), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(values, st.integers(0, 12))
@example('"\x85', 0)
def test_yaml_gives_back_what_was_put_in_at_any_indent(value: object, indent: int) -> None:
    assert read_yaml(to_yaml(value)) == value
    text = f"{' ' * indent}key:\n{' ' * (indent + 2)}{to_yaml(value, indent + 2)}\n{' ' * indent}after: 1\n"
    assert read_yaml(text) == {"key": value, "after": 1}


@given(scalars)
def test_a_scalar_without_line_breaks_stays_on_its_line(value: object) -> None:
    if not isinstance(value, str) or "\n" not in value:
        assert "\n" not in to_yaml(value)


@given(values)
def test_json_gives_back_what_was_put_in(value: object) -> None:
    assert json.loads(to_json(value)) == value


def test_words_that_other_yaml_readers_take_for_something_else_are_quoted() -> None:
    assert [to_yaml(w) for w in ("y", "No", "1e9", "15s", "plain-word", 'a "b"')] == [
        '"y"', '"No"', '"1e9"', "15s", "plain-word", "'a \"b\"'",
    ]  # fmt: skip


@each_row("text, escaped", [("a}}b", "a}}b"), ("{{x", '{{ "{{" }}x'), ("$x", "$x")])
def test_go_templates_get_braces_as_text(text: str, escaped: str) -> None:
    assert go_template_text(text) == escaped


@each_row(
    "payload",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ cycler.__init__.__globals__.os.system('touch /ran') }}",
        "{{ lipsum['__globals__'] }}",
        "{{ groups | attr('__class__') }}",
        "{{ 'x{0.__class__}'.format(groups) }}",
        "{% set _ = groups.append(1) %}",
        "{{ folder.write_text('planted') }}",
        "{{ (folder / 'techsapo.yaml').read_text() }}",
        "{{ folder.parent.iterdir() | list }}",
        "{{ spec.parse_raw('', allow_pickle=true) }}",
        "{{ spec.model_construct() }}",
    ],
)
def test_a_template_that_reaches_for_more_than_its_values_is_refused_by_name(
    tmp_path: Path, payload: str
) -> None:
    templates = override(tmp_path, RULES, f"fine\n{payload}\n")
    target = tmp_path / "target"
    refused = rf"template {tmp_path}/{RULES}:2: not allowed in a template"
    with pytest.raises(OpsError, match=refused) as caught:
        templates.render(RULES, **GROUPS, folder=target, spec=Spec(project="lab"))
    assert caught.value.hint
    assert not target.exists()


def test_a_template_may_take_paths_apart_and_read_the_spec(tmp_path: Path) -> None:
    text = "{{ (folder / 'logs').parent.name }} {{ spec.app.port }} {{ folder.is_absolute() }}"
    templates = override(tmp_path, RULES, text)
    assert templates.render(RULES, folder=Path("/srv/x"), spec=Spec(project="lab")) == "x 4000 True"
