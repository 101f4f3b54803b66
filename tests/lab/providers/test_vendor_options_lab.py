"""Every option of a spec goes along as its vendor takes it, by tests/cases/vendor_options.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest
from asking import KEY, ask
from rows import each_row
from vendors import ANSWER, Vendor
from vendors.chats import SERVERS, OpenAIChat
from vendors.clouds import CLOUDS
from vendors.core import Wire
from vendors.wires import WIRES

from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.spec.models import providers as models
from techsapo_ops.wallbounce.answers import Answer, Grades
from techsapo_ops.wallbounce.providers.failures import FailureKind, ProviderError

pytestmark = pytest.mark.lab

OPTIONS: dict[str, list[dict[str, Any]]] = read_yaml(
    (Path(__file__).parents[2] / "cases" / "vendor_options.yaml").read_text(encoding="utf-8")
)
STAND_INS: dict[str, Wire] = {**WIRES, **SERVERS, **CLOUDS, "openai-chat": OpenAIChat()}
ROWS = [
    pytest.param(kind, row, id=f"{row.get('stand_in', kind)}-{row['options']}")
    for kind, rows in OPTIONS.items()
    for row in rows
]
OF_ALL = {
    "kind", "enabled", "timeout", "price", "model", "max_output_tokens", "attempts", "api_key",
    "stream", "base_url",
}  # fmt: skip
"""Fields that every kind has and other tests try."""


def keyed(value: Any) -> Any:
    """`value` with the lab's key in the place of {key}."""
    if isinstance(value, dict):
        return {name: keyed(inner) for name, inner in value.items()}
    return value.replace("{key}", KEY) if isinstance(value, str) else value


def called(kind: str, row: dict[str, Any], **more: Any) -> tuple[Answer | Grades | ProviderError, Vendor]:
    """What the row's stand-in answers to a provider with the row's options, and what it saw."""
    options = {"max_output_tokens": 500, **keyed(row["options"]), **more}
    options.setdefault("at", STAND_INS[row.get("stand_in", kind)])
    return ask(kind, options.pop("as_model", row.get("model", "good")), **options)


def value_at(body: dict[str, Any], dotted: str) -> Any:
    for name in dotted.split("."):
        if not isinstance(body, dict) or name not in body:
            return None
        body = body[name]
    return body


@each_row("stream", [False, True])
@each_row("kind, row", ROWS)
def test_an_option_goes_along_as_the_vendor_takes_it(kind: str, row: dict[str, Any], stream: bool) -> None:
    answer, seen = called(kind, row, stream=stream)
    assert isinstance(answer, Answer), answer
    assert (answer.text, answer.structured) == (ANSWER["answer"], True)
    assert len(seen.refused) == (1 if row.get("learns") else 0), seen.refused
    (asked,) = seen.asked
    assert asked.unread == (), "nothing goes along that is passed over"
    assert asked.schema is not None
    for field, value in row["sent"].items():
        assert value_at(asked.body, field) == value, field
    for field in row.get("absent", ()):
        assert value_at(asked.body, field) is None, field


@each_row("stream", [False, True])
@each_row("kind, row", ROWS)
def test_an_option_goes_along_with_a_schema_in_words(kind: str, row: dict[str, Any], stream: bool) -> None:
    """The stand-in turns the schema away, and is asked once more."""
    answer, seen = called(kind, row, stream=stream, as_model="no-schema")
    assert isinstance(answer, Answer), answer
    assert answer.structured
    assert len(seen.refused) == (1 if row.get("learns") else 0), seen.refused
    assert [asked.schema is None for asked in seen.asked] == [False, True]
    assert all(asked.unread == () for asked in seen.asked)
    assert '"root_cause"' in seen.asked[-1].system


@each_row("kind", OPTIONS)
def test_every_option_of_a_kind_has_a_row(kind: str) -> None:
    tried = {name for row in OPTIONS[kind] for name in row["options"]} - OF_ALL
    sections = get_args(get_args(models.Provider)[0])
    (section,) = (s for s in sections if get_args(s.model_fields["kind"].annotation) == (kind,))
    assert tried == set(section.model_fields) - OF_ALL


@each_row("stream", [False, True])
@each_row("kind", OPTIONS)
def test_an_answer_whose_room_went_into_thinking_is_none_and_says_what_to_raise(
    kind: str, stream: bool
) -> None:
    """Each vendor's shape of it: no message beside the reasoning, no text block, no parts, no content."""
    told, _ = ask(kind, "all-thought", stream=stream)
    assert isinstance(told, ProviderError)
    assert told.kind is FailureKind.BAD_ANSWER
    assert "raise max_output_tokens" in told.message
    assert told.cost_usd > 0, "thinking is billed"
