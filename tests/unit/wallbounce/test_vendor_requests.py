"""What exactly goes to each vendor, by tests/cases/vendor_requests.yaml."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from rows import each_row

from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.incidents.question import FORM, NAME
from techsapo_ops.spec.models.providers import Provider
from techsapo_ops.wallbounce.examination.prompts import Prompt, answer_prompt, with_schema
from techsapo_ops.wallbounce.providers.prices import FRAME, worst_of_ask
from techsapo_ops.wallbounce.providers.provider import WORST_CASE, AskForm
from techsapo_ops.wallbounce.providers.reading import NO_LIST
from techsapo_ops.wallbounce.providers.registry import KINDS
from techsapo_ops.wallbounce.providers.wire import Form, WiredModel
from techsapo_ops.wallbounce.question import Question

ROWS: list[dict[str, Any]] = read_yaml(
    (Path(__file__).parents[2] / "cases" / "vendor_requests.yaml").read_text(encoding="utf-8")
)
QUESTION = Question("ディスクが一杯です", "ja", "req-1")
PROMPT = answer_prompt(QUESTION)
FINDINGS = Prompt("instructions", "evidence", NAME, FORM)
SECTIONS: TypeAdapter[Any] = TypeAdapter(Provider)


def made(spec: dict[str, Any]) -> WiredModel:
    section = SECTIONS.validate_python({"api_key": "k", "max_output_tokens": 4096, **spec})
    kind = KINDS[section.kind]
    assert kind.lacks("p", section) is None
    model = kind("p", section, WORST_CASE)
    assert isinstance(model, WiredModel)
    return model


def sent(model: WiredModel, *, words: bool = False, prompt: Prompt = PROMPT) -> dict[str, Any]:
    """The body of a call, with names for what the prompt holds."""
    body: dict[str, Any] = json.loads(model.encoded(prompt, QUESTION, Form(structured=not words)))
    return dict(_named(body, prompt))


def _named(node: Any, prompt: Prompt) -> Any:
    names = {prompt.system: "SYSTEM", prompt.user: "USER", with_schema(prompt, "ja"): "WORDS"}
    if node == json.loads(json.dumps(prompt.schema)):
        return "SCHEMA"
    if isinstance(node, dict):
        return {key: _named(value, prompt) for key, value in node.items()}
    if isinstance(node, list):
        return [_named(value, prompt) for value in node]
    return names.get(node, node) if isinstance(node, str) else node


def _answers(node: Any) -> Any:
    """`node`, where it names the form, with the name of an answer's."""
    if isinstance(node, dict):
        return {
            key: "answer" if (key, value) == ("name", NAME) else _answers(value)
            for key, value in node.items()
        }
    return node


@each_row("row", ROWS, ids=lambda row: row["name"])
def test_exactly_this_is_sent(row: dict[str, Any]) -> None:
    model = made(row["spec"])
    assert sent(model, words=row.get("words", False)) == row["body"]
    if "url" in row:
        assert model.url() == row["url"]
    if "headers" in row:
        usual = {"Content-Type": "application/json", "Accept": "application/json"}
        assert model.headers == {**usual, **{name: str(value) for name, value in row["headers"].items()}}


@each_row("row", ROWS, ids=lambda row: row["name"])
def test_the_form_of_an_investigation_goes_the_way_of_an_answer(row: dict[str, Any]) -> None:
    model = made(row["spec"])
    assert sent(model, words=row.get("words", False)) == row["body"]
    assert _answers(sent(model, words=row.get("words", False), prompt=FINDINGS)) == row["body"]


@each_row("kind", ["openai", "anthropic", "google"])
@each_row("longest, limit", [(100, 100), (10_000, 4096)])
def test_a_reply_that_is_to_be_short_is_asked_for_and_reserved_as_such(
    longest: int, limit: int, kind: str
) -> None:
    model, form = made({"kind": kind, "model": "m"}), replace(FINDINGS, longest=longest)
    assert f": {limit}" in json.dumps(sent(model, prompt=form))
    assert worst_of_ask(model, AskForm(QUESTION, form)) == model.price.most(form.size + FRAME, limit)
    assert len(f"{with_schema(form, 'ja')}{form.user}".encode()) <= form.size + FRAME


def test_the_form_keeps_to_what_every_vendors_strict_mode_takes() -> None:
    def objects(node: Any) -> Iterator[dict[str, Any]]:
        if isinstance(node, dict):
            yield from [node] if node.get("type") == "object" else []
            for value in node.values():
                yield from objects(value)

    for each in objects(FORM):
        assert each["additionalProperties"] is False
        assert each["required"] == list(each["properties"])


@each_row("row", [row for row in ROWS if row.get("cloud")], ids=lambda row: row["name"])
def test_no_list_is_asked_for_a_name_that_a_cloud_gave(row: dict[str, Any]) -> None:
    assert asyncio.run(made(row["spec"]).listed()) == NO_LIST


def test_no_two_users_texts_share_a_body_and_none_is_kept() -> None:
    model = made({"kind": "openai", "model": "m"})
    for text in ("a", 'b"\\', "\0the user's text\0"):
        question = Question(text, "ja", "req-1")
        body = json.loads(model.encoded(answer_prompt(question), question, Form()))
        assert body["input"] == answer_prompt(question).user
