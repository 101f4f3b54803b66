"""What `techsapo config explain` and `techsapo config schema` say of the model."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from rows import each_row

from techsapo_ops.errors import OpsError
from techsapo_ops.spec.describe import explain, help_of, json_schema
from techsapo_ops.spec.fields import ROOT, Section, fields_of, sections_of

MODELS = list(sections_of(ROOT))
SCHEMA = json_schema()


@each_row("model", MODELS, ids=lambda m: m.__name__)
def test_every_field_has_help_and_every_section_a_docstring(model: Section) -> None:
    assert model.__doc__
    assert set(help_of(model)) == set(fields_of(model))


@each_row(
    "path, type_, default",
    [
        ("app.instances", "list of sections", []),
        ("app.instances.port", "port, 1 to 65535", None),
        ("app.instances.0.weight", "whole number, 1 to 100", 1),
        ("app.instances[1].backup", "true or false", False),
        ("app.drain", "duration, e.g. 30s, 5m or 1h30m", "5s"),
        ("logs.level", "error, warn, info or debug", "info"),
        ("logs.max_size", "size, e.g. 512K, 10M or 1G", "10M"),
        ("monitoring.exporters.node", "port, 1 to 65535", 9100),
        ("monitoring.alerts.MemoryHigh.for", "duration, e.g. 30s, 5m or 1h30m", None),
        ("providers.gpt.api_key", "secret, or a file path as NAME_file", None),
        ("providers.gpt.api_key_file", "path", None),
        ("notifications.receivers.url_file", "path", None),
        ("providers.openrouter.base_url", "URL", None),
        ("providers.model", "text", None),
        ("certificates", "mapping of names to sections", {}),
        ("certificates.web.names", "list of host names", []),
        ("redis.host", "IP address", "127.0.0.1"),
        ("wallbounce.consensus", "number, 0 to 1", 0.6),
        ("images", "mapping of names to images", {}),
    ],
)
def test_a_path_is_explained_by_type_and_default(path: str, type_: str, default: object) -> None:
    explained = explain(path)
    assert (explained.type, explained.default) == (type_, default)
    assert explained.help


def test_kinds_are_told_apart_where_their_keys_differ() -> None:
    children = {(c.key, c.kind): c for c in explain("notifications.receivers").children}
    assert {("url", "slack"), ("url", "webhook")} <= set(children)
    assert children["kind", ""].type == "slack, email, webhook, alertmanager"


@each_row(
    "path, message",
    [
        ("app.prt", "app has no key prt; did you mean port?"),
        ("ap", "the spec has no key ap; did you mean app?"),
        ("app.port.x", "app.port has no keys below it; its type is port, 1 to 65535"),
    ],
)
def test_a_path_that_there_is_not_suggests_the_nearest(path: str, message: str) -> None:
    with pytest.raises(OpsError) as caught:
        explain(path)
    assert str(caught.value) == message


def _nodes(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from _nodes(value)
    elif isinstance(node, list):
        for value in node:
            yield from _nodes(value)


def test_every_reference_of_the_schema_leads_somewhere() -> None:
    references = [node["$ref"] for node in _nodes(SCHEMA) if isinstance(node.get("$ref"), str)]
    assert references
    assert {r.removeprefix("#/$defs/") for r in references} <= set(SCHEMA["$defs"])


def test_every_property_of_the_schema_is_described_and_no_other_is_allowed() -> None:
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert SCHEMA["required"] == ["project"]
    for definition in [SCHEMA, *SCHEMA["$defs"].values()]:
        assert definition["additionalProperties"] is False
        assert all(prop.get("description") for prop in definition["properties"].values())


def test_a_number_in_the_schema_may_be_a_variable() -> None:
    plain, variable = SCHEMA["$defs"]["Instance"]["properties"]["port"]["anyOf"]
    assert plain == {"type": "integer", "minimum": 1, "maximum": 65535}
    assert variable["type"] == "string"
    assert re.search(variable["pattern"], "${PORT:-4000}")
    assert not re.search(variable["pattern"], "4000x")


def test_an_overlay_in_the_schema_knows_the_sections_but_no_overlays() -> None:
    overlay = SCHEMA["properties"]["environments"]["additionalProperties"]
    assert set(overlay["properties"]) == set(SCHEMA["properties"]) - {"environments"}
    assert overlay["additionalProperties"] is False
    assert "patternProperties" not in SCHEMA["properties"]["environments"]
