"""No secret reaches a vendor, on whatever way a question came, and the asker is told what was masked."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
from instances import SSE, URL, post, send
from orchestrator import make_spec
from rows import each_row

from techsapo_ops.masking import MaskLevel
from techsapo_ops.masking.masker import Masker
from techsapo_ops.serve.answers.answers import Prompts
from techsapo_ops.serve.answers.own_pages import OwnPages
from techsapo_ops.serve.app import App
from techsapo_ops.serve.http.anomalies import Anomalies
from techsapo_ops.serve.http.auth import Caller
from techsapo_ops.serve.options import Options
from techsapo_ops.stores.audit.spool import AuditRow
from techsapo_ops.wallbounce.answers import Answer, Critique, Peer, Tokens
from techsapo_ops.wallbounce.examination.prompts import answer_prompt, grade_prompt, revise_prompt
from techsapo_ops.wallbounce.examination.shown import masked
from techsapo_ops.wallbounce.providers.provider import Ask, AskGrades, AskRevision, Reply
from techsapo_ops.wallbounce.question import Question

SECRET = "Qx7rRt2v"
LOGS, CHAT = "/api/v1/analyze-logs", "/v1/chat/completions"
PROMPT = f"mysql -uroot -p{SECRET} says Access denied, and MYSQL_PWD={SECRET} too"
MASKED = "mysql -uroot -p[PASSWORD_1] says Access denied, and MYSQL_PWD=[PASSWORD_1] too"
LOOSE = "export VAULT_TOKEN=hvs.CAESIJ1234567890abcdef"
"""What a provider says that was in no question."""


def app_at(folder: Path, level: MaskLevel, sent: list[tuple[str, str]]) -> App:
    """An instance whose providers note what they were sent, and whose answers hold a secret of their own."""
    app = App(Options(make_spec(), "app-1", folder / "data", mask=level))
    for provider in app.registry.usable:

        async def call(ask: Ask, real: Any = provider.call) -> Reply:
            sent.append((ask.phase, _sent(ask)))
            reply: Reply = await real(ask)
            return replace(reply, text=f"{reply.text}\n{LOOSE}") if isinstance(reply, Answer) else reply

        provider.call = call
    return app


def _sent(ask: Ask) -> str:
    if isinstance(ask, AskGrades):
        return grade_prompt(ask.question, ask.peers, ask.own).user
    if hasattr(ask, "critiques"):
        return revise_prompt(ask.question, ask.own, ask.critiques).user
    return answer_prompt(ask.question).user


def asked(app: App, *requests: tuple[str, dict[str, Any], dict[str, str]]) -> list[httpx.Response]:
    return send(
        app, *(("POST", path, {"json": body, "headers": headers}) for path, body, headers in requests)
    )


WAYS: dict[str, tuple[str, dict[str, Any], dict[str, str]]] = {
    "generate": (URL, {"prompt": PROMPT, "task_type": "critical"}, {}),
    "its stream": (URL, {"prompt": PROMPT}, SSE),
    "analyze-logs": (LOGS, {"user_command": PROMPT, "error_output": f"PASSWORD={SECRET}"}, {}),
    "chat completions": (
        CHAT,
        {
            "model": "techsapo-basic",
            "messages": [
                {"role": "system", "content": f"token={SECRET}"},
                {"role": "user", "content": PROMPT},
            ],
        },
        {},
    ),
    "their stream": (
        CHAT,
        {"model": "techsapo-basic", "stream": True, "messages": [{"role": "user", "content": PROMPT}]},
        {},
    ),
}


@each_row("way", WAYS)
def test_no_provider_is_sent_a_secret_nor_another_providers(tmp_path: Path, way: str) -> None:
    sent: list[tuple[str, str]] = []
    (response,) = asked(app_at(tmp_path, "secrets", sent), WAYS[way])
    assert response.status_code == 200, response.text
    assert {phase for phase, _ in sent} >= {"answer", "grade"}
    assert [text for _, text in sent if SECRET in text or "hvs.CAES" in text] == []
    assert all("_1]" in text for _, text in sent)
    assert any("VAULT_TOKEN=[" in text for phase, text in sent if phase == "grade")


def test_with_masking_off_a_provider_is_sent_what_was_written(tmp_path: Path) -> None:
    sent: list[tuple[str, str]] = []
    (response,) = asked(app_at(tmp_path, "off", sent), WAYS["generate"])
    assert sent[0] == ("answer", PROMPT)
    assert response.json()["masked"] == {}


def test_the_asker_is_told_how_much_was_masked_also_by_an_answer_that_was_kept(tmp_path: Path) -> None:
    sent: list[tuple[str, str]] = []
    other = {"prompt": PROMPT.replace(SECRET, "0therP4ss"), "task_type": "critical"}
    *answers, streamed = asked(
        app_at(tmp_path, "secrets", sent),
        WAYS["generate"],
        (URL, other, {}),
        (URL, {"prompt": MASKED, "task_type": "critical"}, {}),
        WAYS["chat completions"],
        WAYS["its stream"],
    )
    told = [answer.json() for answer in answers]
    assert [(body["masked"], body["cache"]) for body in told[:3]] == [
        ({"password": 1}, "miss"),
        ({"password": 1}, "hit"),  # the same question but for the secret
        ({}, "hit"),
    ]
    assert told[3]["techsapo"]["masked"] == {"secret": 1}
    verdict = streamed.text.split("event: verdict\ndata: ")[1].splitlines()[0]
    assert json.loads(verdict)["masked"] == {"password": 1}


def test_a_find_in_one_part_of_a_question_does_not_reach_over_its_end(tmp_path: Path) -> None:
    """Of a key that is cut off everything after it is taken for the key; the next block would go with it."""
    sent: list[tuple[str, str]] = []
    key = "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEAx0\n"
    body = {"user_command": "cat", "error_output": f"{key}reply with X\n", "system_context": "Debian 13"}
    (response,) = asked(app_at(tmp_path, "secrets", sent), ("/api/v1/analyze-logs", body, {}))
    assert response.status_code == 200, response.text
    (prompt,) = {text for phase, text in sent if phase == "answer"}
    assert "MIIEow" not in prompt
    assert prompt.endswith("<system_context>\nDebian 13\n</system_context>")
    assert prompt.count("</error_output>") == 1


QUESTION = Question("502", "en", "req_1", Masker("secrets"))
PLAIN = Answer(
    "sim-a", "m", "restart it", Tokens(), 0.1, 0.0, claims=("it is down",), root_cause="memory",
    commands=("systemctl restart nginx",), structured=True,
)  # fmt: skip
PEER = Peer("A", PLAIN.text, PLAIN.root_cause, PLAIN.claims, PLAIN.commands)
IN_ANSWERS: tuple[dict[str, Any], ...] = (
    {"text": LOOSE}, {"root_cause": LOOSE}, {"claims": ("x", LOOSE)}, {"commands": ("x", LOOSE)},
)  # fmt: skip


@each_row(
    "ask",
    [
        *(AskGrades(QUESTION, (PEER, replace(PEER, **loose)), PLAIN) for loose in IN_ANSWERS),
        *(AskGrades(QUESTION, (PEER,), replace(PLAIN, **loose)) for loose in IN_ANSWERS),
        *(AskRevision(QUESTION, replace(PLAIN, **loose), (Critique("x", "y"),)) for loose in IN_ANSWERS),
        AskRevision(QUESTION, PLAIN, (Critique("x", "y"), Critique(LOOSE, "y"))),
        AskRevision(QUESTION, PLAIN, (Critique("x", "y"), Critique("x", LOOSE))),
    ],
)
def test_nothing_that_providers_say_of_each_other_leaves_with_a_secret(ask: Ask) -> None:
    assert "hvs.CAES" in repr(ask)
    sent = repr(asyncio.run(masked(ask)))
    assert "hvs.CAES" not in sent
    assert "VAULT_TOKEN=[" in sent, "what it is about stays"


@each_row("level", ["off", "secrets"])
def test_a_prompt_that_is_kept_in_the_audit_log_is_masked_whatever_vendors_are_sent(
    tmp_path: Path, level: MaskLevel
) -> None:
    spec = make_spec(audit={"prompt": "masked"})
    app = App(Options(spec, "app-1", tmp_path / "data", mask=level))
    rows: list[AuditRow] = []
    app.audit.put = rows.append  # in the place of a database
    prompt = f"{PROMPT}; ask taro@corp.co.jp"
    post(app, URL, {"prompt": prompt}, {"prompt": prompt})
    kept = [str(row.prompt) for row in rows]
    assert len(kept) == 2, "of a kept answer too"
    assert all(text.startswith(MASKED) for text in kept)
    assert [text for text in kept if SECRET in text or "taro@" in text] == []


def test_a_short_question_is_masked_while_long_ones_wait_for_each_other() -> None:
    prompts = Prompts("secrets", 20_000, Anomalies(lambda _: None), OwnPages(None))
    ended: list[str] = []

    async def mask(name: str, prompt: str) -> None:
        await prompts.question(prompt, "en", name, Caller(None, None, "127.0.0.1"))
        ended.append(name)

    async def all_of_them() -> None:
        log = "".join(f"password=hunter{n} token=Zz9yYx8w{n}\n" for n in range(500))
        await asyncio.gather(*(mask(f"long-{n}", log) for n in range(3)), mask("short", "df -h"))

    asyncio.run(all_of_them())
    assert ended[0] == "short"
