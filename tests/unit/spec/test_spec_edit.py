"""Single values written into the text of a spec."""

from __future__ import annotations

from typing import Any

import pytest
from rows import each_row

from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.errors import OpsError
from techsapo_ops.spec.edit import repointed, with_value, without_section

TEXT = """\
# a stack
project: shop
app:
  port: 4000   # the usual one
  instances:
    - {name: app-1, port: 4001}
    - name: app-2
      port: 4002
redis: {port: 6379}
mysql:
providers:
  llama-3.1: {kind: openai, api_key_file: /etc/keys/openai}
environments:
  production:
    app: {port: 5000}
"""


def at(text: str, *path: str | int) -> Any:
    found = read_yaml(text)
    for step in path:
        found = found[step]
    return found


@each_row(
    "path, value, place",
    [
        ("app.port", 4100, ("app", "port")),
        ("app.drain", "5s", ("app", "drain")),
        ("app.auth.required", True, ("app", "auth", "required")),
        ("app.instances.1.port", 4202, ("app", "instances", 1, "port")),
        ("app.instances.0.weight", 3, ("app", "instances", 0, "weight")),
        ("redis.port", 6400, ("redis", "port")),
        ("redis.maxmemory", "1G", ("redis", "maxmemory")),
        ("mysql.port", 3310, ("mysql", "port")),
        ("providers.llama-3.1.model", "x: y", ("providers", "llama-3.1", "model")),
        ("nginx.listen", 8080, ("nginx", "listen")),
        ("redis", {"port": 1}, ("redis",)),
        ("app", {"port": 1}, ("app",)),
        ("backup.offsite", None, ("backup", "offsite")),
        ("project", "値 #", ("project",)),
    ],
)
def test_the_value_is_there_and_all_else_is_as_it_was(path: str, value: Any, place: tuple[Any, ...]) -> None:
    edited = with_value(TEXT, path, value)
    assert at(edited, *place) == value
    before, after = read_yaml(TEXT), read_yaml(edited)
    other = {key for key in before if key != place[0]}
    assert {key: before[key] for key in other} == {key: after[key] for key in other}
    assert "# a stack" in edited


def test_a_comment_behind_a_value_stays() -> None:
    assert "port: 4100   # the usual one" in with_value(TEXT, "app.port", 4100)


def test_where_the_overlay_has_it_too_that_one_is_changed_as_well() -> None:
    edited = with_value(TEXT, "app.port", 1, environment="production")
    assert at(edited, "app", "port") == at(edited, "environments", "production", "app", "port") == 1
    other = with_value(TEXT, "redis.port", 1, environment="production")
    assert at(other, "environments", "production") == {"app": {"port": 5000}}


@each_row(
    "path, why",
    [
        ("project.name", "project is a value"),
        ("app.instances.7.port", "the list has no entry 7"),
        ("app.port.x", "app.port is a value"),
    ],
)
def test_a_path_that_leads_through_a_value_is_refused(path: str, why: str) -> None:
    with pytest.raises(OpsError, match=f"{path}: {why}"):
        with_value(TEXT, path, 1)


def test_each_scalar_that_names_a_place_is_pointed_elsewhere_and_no_other() -> None:
    edited = repointed(TEXT, {"/etc/keys/openai": "recovered/openai", "shop": "other"})
    assert at(edited, "providers", "llama-3.1", "api_key_file") == "recovered/openai"
    assert at(edited, "project") == "other"
    assert repointed(TEXT, {}) == TEXT


def test_a_place_that_an_alias_names_again_is_replaced_once() -> None:
    text = "first: &key /etc/key\nagain: *key\nlast: /etc/key\n"
    assert repointed(text, {"/etc/key": "k"}) == "first: &key k\nagain: *key\nlast: k\n"


@each_row(
    "text, path",
    [
        ("app: &x {port: 1}\nnginx: *x\n", "nginx.port"),
        ("app: {host: &x a, other: *x}\n", "app.other"),
        ("list: [&x a, *x]\n", "list.1"),
        ("first: &x a\nlist: [*x]\n", "list.0"),
    ],
)
def test_what_is_an_alias_is_refused_since_another_value_would_change_with_it(text: str, path: str) -> None:
    with pytest.raises(OpsError, match="alias"):
        with_value(text, path, 2)


def test_an_anchor_stays_with_its_new_value() -> None:
    assert with_value("a: &x 1\nb: *x\n", "a", 2) == "a: &x 2\nb: *x\n"


def test_an_overlay_that_is_an_alias_is_in_nobodys_way() -> None:
    text = "project: a\nenvironments:\n  staging: &x {project: b}\n  production: *x\n"
    assert at(with_value(text, "engine", "native", environment="production"), "engine") == "native"


def test_a_section_goes_with_its_comments_and_no_other_line() -> None:
    hosts = "hosts:  # three\n  a: {x: 1}\n  # inner\n  b:\n    y: |\n      z\n"
    text = f"# top\n{hosts}# engine\nengine: swarm\nat: 1 # end"
    assert without_section(text, "hosts") == "# top\n# engine\nengine: swarm\nat: 1 # end"
    assert without_section(text, "at") == text.removesuffix("at: 1 # end")
    assert without_section(text, "none") == text
    assert read_yaml(without_section("{a: 1, hosts: {b: c}}", "hosts")) == {"a": 1}
    assert without_section("hosts: {}\n", "hosts") == "{}\n"
