"""Which answers are given again, to the letter and in the same setting; and to whom."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import httpx
import pytest
from instances import URL, send, within
from orchestrator import QUICK, client_of, make_app, make_spec
from pydantic import BaseModel
from rows import each_row

from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.serve.answers import stored_answers
from techsapo_ops.serve.answers.chat import ChatBody
from techsapo_ops.serve.answers.metering import Account
from techsapo_ops.serve.answers.stored_answers import answer_setting
from techsapo_ops.serve.answers.triage import prompt_of
from techsapo_ops.serve.app import App
from techsapo_ops.serve.options import Options
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.models.app import Budget, Limits, WallBounce
from techsapo_ops.spec.models.providers import Provider
from techsapo_ops.spec.secret import Secret
from techsapo_ops.stores.budget_ledger import Balance, Ledger, OverBudget
from techsapo_ops.stores.keys import KeyFile, new_key
from techsapo_ops.wallbounce.calls import Turn
from techsapo_ops.wallbounce.question import Composed, Passage, Question
from techsapo_ops.wallbounce.verdict.calibration import Calibration

CASES = read_yaml((Path(__file__).parents[2] / "cases" / "stored_answers.yaml").read_text(encoding="utf-8"))
KINDS: dict[str, type[BaseModel]] = {
    get_args(kind.model_fields["kind"].annotation)[0]: kind for kind in get_args(get_args(Provider)[0])
}


ANALYZE, CHAT = "/api/v1/analyze-logs", "/v1/chat/completions"


async def ask(client: httpx.AsyncClient, prompt: str, **more: Any) -> str:
    return str((await client.post(URL, json={"prompt": prompt, **more})).json()["cache"])


async def test_two_questions_that_differ_in_any_character_have_an_answer_each(tmp_path: Path) -> None:
    async with client_of(make_app(tmp_path)) as client:
        found = {
            case["differ"]: [await ask(client, case[which]) for which in ("one", "other", "one", "other")]
            for case in CASES
        }
    assert {differ for differ, told in found.items() if told != ["miss", "miss", "hit", "hit"]} == set()


def conversation(text: str) -> dict[str, Any]:
    """A chat whose last message is `text`."""
    told = {"role": "system", "content": "be brief"}
    return {"model": "techsapo-basic", "messages": [told, {"role": "user", "content": text}]}


async def test_two_conversations_or_logs_that_differ_in_any_character_have_an_answer_each(
    tmp_path: Path,
) -> None:
    async with client_of(make_app(tmp_path)) as client:
        found = []
        for case in CASES[:4]:
            for which in ("one", "other", "one", "other"):
                log = {"error_output": case[which], "user_command": "kubectl apply"}
                found.append((await client.post(ANALYZE, json=log)).json()["cache"])
                chat = await client.post(CHAT, json=conversation(case[which]))
                found.append(chat.json()["techsapo"]["cache"])
    assert found == (["miss"] * 4 + ["hit"] * 4) * 4


@each_row("text", ["  a: 1\nb: 2\n", "\tall:", "x\n\n"])
def test_models_are_shown_a_message_and_a_log_to_the_letter(text: str) -> None:
    asked = ChatBody.model_validate(conversation(text)).prompt(), prompt_of(text, text, text, "en")
    for prompt in asked:
        assert isinstance(prompt, Composed)
        assert {part.text for part in prompt.parts[1:]} == {text}


def other(value: Any) -> Any:
    """Some value of the same kind that is not `value`."""
    match value:
        case bool():
            return not value
        case int() | float():
            return value + 1
        case BaseModel():
            name = next(iter(type(value).model_fields))
            return value.model_copy(update={name: other(getattr(value, name))})
        case Secret():
            return Secret(f"{value.reveal()}-other")
        case dict():
            return {**value, "another": "value"}
        case tuple():
            return (*value, "another")
        case None:
            return "said"
        case _:
            return f"{value}-other"


def variants(model: BaseModel) -> Iterator[tuple[str, BaseModel]]:
    """Each field of `model`, and a copy that differs in it alone."""
    for name in type(model).model_fields:
        yield name, model.model_copy(update={name: other(getattr(model, name))})


def digest(spec: Spec, **options: Any) -> str:
    known = Options(spec, "app-1", Path("data"), **options)
    return answer_setting(known, "0.2.0+abc.def")(list(spec.providers))


def section(kind: str) -> BaseModel:
    given = {"kind": kind, "model": "m", "base_url": "http://127.0.0.1:1/v1"}
    wanted = {name: value for name, value in given.items() if name in KINDS[kind].model_fields}
    return KINDS[kind].model_validate(wanted)


@each_row("kind", KINDS)
def test_every_option_of_a_provider_decides_the_answer(kind: str) -> None:
    plain = make_spec()
    before = section(kind)

    def of(provider: BaseModel) -> str:
        return digest(plain.model_copy(update={"providers": {"a": provider}}))

    passed_over = {name for name, copy in variants(before) if of(copy) == of(before)}
    assert passed_over == set()


def test_every_setting_of_an_analysis_decides_the_answer() -> None:
    plain = make_spec()

    def passed_over(model: type[BaseModel], put: Any) -> set[str]:
        before = model.model_validate({})
        return {name for name, copy in variants(before) if digest(put(copy)) == digest(put(before))}

    def limits(value: BaseModel) -> Spec:
        return plain.model_copy(update={"app": plain.app.model_copy(update={"limits": value})})

    assert passed_over(Limits, limits) == set()
    for name, model in (("wallbounce", WallBounce), ("budget", Budget)):
        assert passed_over(model, lambda value, name=name: plain.model_copy(update={name: value})) == set()


def test_masking_calibration_build_and_who_is_asked_in_which_order_decide_it_too() -> None:
    spec = make_spec()
    fitted = Calibration(labels=9, mean=(1.0, 2.0, 3.0))
    setting = answer_setting(Options(spec, "app-1", Path("data")), "0.2.0+abc.def")
    digests = [
        digest(spec),
        digest(spec, mask="secrets"),
        digest(spec, calibration=fitted),
        answer_setting(Options(spec, "app-1", Path("data")), "0.2.0+abd.def")(list(spec.providers)),
        setting(["sim-a", "sim-b"]),
        setting(["sim-b", "sim-a"]),
    ]
    assert len(set(digests)) == len(digests)


def test_of_a_question_all_but_who_asks_and_what_masks_decides_it() -> None:
    answers = stored_answers.StoredAnswers(None, None, 0, lambda _: "setting", lambda _: None)
    question = Question("x", "en", "req-1")
    for each in fields(Question):
        copy = replace(question, **{each.name: other(getattr(question, each.name))})
        same = answers.key(copy, "basic", "") == answers.key(question, "basic", "")
        assert same == (each.name in stored_answers.IMMATERIAL), each.name
    assert answers.key(question, "basic", "") != answers.key(question, "premium", "")
    halves = ["?", "\ud800", "\ud801", "\\ud800"]
    texts = [replace(question, text=half, parts=(Passage("log", half),)) for half in halves]
    assert len({answers.key(each, "basic", "") for each in texts}) == len(halves)


async def test_an_answer_that_was_made_while_a_provider_was_down_is_not_given_once_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app(tmp_path)
    down: set[str] = set()
    monkeypatch.setattr(app.metrics, "turn", lambda name: Turn.RESTING if name in down else Turn.WELL)
    async with client_of(app) as client:
        told = [await ask(client, "x")]
        down.add("sim-a")
        told += [await ask(client, "x"), await ask(client, "x")]
        down.clear()
        told.append(await ask(client, "x"))
    assert told == ["miss", "miss", "hit", "hit"]


async def test_an_answer_that_a_budget_cut_short_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the first reservation, for the tier itself, finds room."""
    reserved: set[Account] = set()
    reserve = Account._reserve

    async def once(self: Account, amount: int) -> None:
        if self in reserved and amount:
            ledger = Ledger.of("", "day", 1.0, datetime.now(UTC))
            raise OverBudget(ledger, Balance(0, 0), amount)
        reserved.add(self)
        await reserve(self, amount)

    monkeypatch.setattr(Account, "_reserve", once)
    unsure = {n: {**p, "accuracy": 0.5, "seed": seed} for seed, (n, p) in enumerate(QUICK.items())}
    told = []
    async with client_of(make_app(tmp_path, providers=unsure)) as client:
        for number in range(12):
            body = {"prompt": f"question {number}"}
            first = (await client.post(URL, json=body)).json()
            told.append((first["notes"], (await client.post(URL, json=body)).json()["cache"]))
    short = {again for notes, again in told if "refused_for_budget" in notes}
    whole = {again for notes, again in told if notes == []}
    assert (short, whole) == ({"miss"}, {"hit"})


async def test_answers_of_a_caller_whose_share_is_used_up_are_kept_no_more() -> None:
    class Share:
        left = 1000

        async def takes(self, caller: str, size: int) -> bool:
            if caller == "greedy":
                self.left -= size
                return self.left >= 0
            return True

    class Cache:
        kept: list[str] = []

        async def set(self, key: str, value: bytes, ttl: float) -> bool:
            self.kept.append(key)
            return True

    answers = stored_answers.StoredAnswers(Cache(), None, 60, lambda _: "", lambda _: None, Share())
    for key, caller in (("1", "greedy"), ("2", "greedy"), ("3", "modest")):
        await answers.keep(key, {"answer": "x" * 600}, caller)
    assert Cache.kept == ["1", "3"]


SECRET = "s" * 32
NOW = datetime(2026, 11, 24, tzinfo=UTC)
UNHURRIED = {n: {**p, "latency": "150ms"} for n, p in QUICK.items()}


def keyed(directory: Path, share: str | None) -> tuple[App, list[dict[str, str]]]:
    """An app with two API keys, and what each sends."""
    made = [new_key(name, plan="premium", scopes=("ask",), now=NOW) for name in ("a", "b")]
    KeyFile(directory / "api-keys.json").write(tuple(key for key, _ in made))
    wallbounce = {"cache_share": share} if share else {}
    app = make_app(directory, app={"auth": {"required": True}}, providers=UNHURRIED, wallbounce=wallbounce)
    return app, [{"Authorization": f"Bearer {shown}"} for _, shown in made]


def one_by_one(app: App, headers: list[dict[str, str]]) -> list[str]:
    question = {"prompt": "disk full"}
    answers = send(app, *(("POST", URL, {"json": question, "headers": each}) for each in headers))
    return [answer.json()["cache"] for answer in answers]


@each_row(
    "share, caches",
    [(None, ["hit", "hit", "hit"]), ("all", ["hit", "hit", "hit"]), ("caller", ["miss", "hit", "hit"])],
)
def test_one_team_shares_its_answers_unless_each_key_is_to_have_its_own(
    tmp_path: Path, share: str | None, caches: list[str]
) -> None:
    app, (a, b) = keyed(tmp_path, share)
    assert one_by_one(app, [a, b, a, b]) == ["miss", *caches]


def test_with_caller_nobody_waits_for_the_same_question_of_another_key(tmp_path: Path) -> None:
    app, (a, b) = keyed(tmp_path, "caller")
    asked = [{"json": {"prompt": "disk full"}, "headers": each} for each in (a, a, b, b)]
    answers = within(app, lambda client: asyncio.gather(*(client.post(URL, **each) for each in asked)))
    told = [answer.json() for answer in answers]
    assert [t["cache"] for t in told].count("miss") == 2
    assert len([t for t in told if t["cost_usd"]]) == 2, "each caller pays for its own"


def test_with_caller_each_who_signed_in_has_answers_of_their_own(tmp_path: Path) -> None:
    sign_in = {"auth": {"sign_in": {"address": "http://127.0.0.1:4180", "secret": SECRET}}}
    app = make_app(tmp_path, app=sign_in, wallbounce={"cache_share": "caller"})
    a, b = ({"X-Techsapo-Sign-In": SECRET, "X-Techsapo-User": name} for name in ("a@x", "b@x"))
    assert one_by_one(app, [a, b, a]) == ["miss", "miss", "hit"]


def test_with_caller_an_open_api_is_one_caller_whatever_name_is_claimed(tmp_path: Path) -> None:
    app = make_app(tmp_path, wallbounce={"cache_share": "caller"})
    assert one_by_one(app, [{}, {"X-User-Id": "somebody"}]) == ["miss", "hit"]
