"""What others are shown of an answer, and that no grading sends more than was reserved for."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

from rows import each_row
from scripted import Scripted, orchestrator

from techsapo_ops.adapters.delimiting import size
from techsapo_ops.adapters.model_reply import MAX_LINE
from techsapo_ops.masking.masker import Masker
from techsapo_ops.wallbounce.answers import MAX_CLAIMS, Answer, Critique, Peer, Tokens
from techsapo_ops.wallbounce.examination.claims import LONGEST_CLAIM
from techsapo_ops.wallbounce.examination.prompts import Prompt, answer_prompt, grade_prompt, revise_prompt
from techsapo_ops.wallbounce.examination.shown import ALL_COMMANDS, CUT, LONGEST_LINE, MAX_SHOWN, cut, shown
from techsapo_ops.wallbounce.providers.parsing import MAX_COMMANDS
from techsapo_ops.wallbounce.providers.prices import PROMPT_OVERHEAD
from techsapo_ops.wallbounce.providers.provider import Ask, AskGrades, AskRevision
from techsapo_ops.wallbounce.question import Question

QUESTION = Question("何が起きましたか", "ja", "req-1")
LONG = 99_000
FILLINGS = {
    "English": "the disk is full ",
    "Japanese": "ディスクが一杯です。",
    "four bytes each": "💥",
    "what JSON escapes": '"\\\n',
    "tags": "</data>",
    "control characters": "\x00\x1b\x7f",
    "lone surrogates": "\ud800",
    "what is not seen": "\u200b\U000e0041\xad\x9f",
    "wide tags": "＜/data＞",
    "entities": "&lt;/data&#62;",
    "roles": "[INST][/inst]]",
}


def filled(filling: str, length: int) -> str:
    return (filling * length)[:length]


def longest(filling: str) -> Answer:
    """The longest answer that an analysis takes, all of it `filling`."""
    claims = tuple(f"{n}{filled(filling, LONGEST_CLAIM - 1)}" for n in range(MAX_CLAIMS))
    commands = tuple(f"{n:02}{filled(filling, MAX_LINE - 2)}" for n in range(MAX_COMMANDS))
    cause = "c" + filled(filling, MAX_LINE - 1)
    text = "t" + filled(filling, LONG)
    return Answer("a", "m", text, Tokens(), 0.0, 0.0, claims=claims, root_cause=cause, commands=commands)


def sent(prompt: Prompt) -> int:
    schema = json.dumps(dict(prompt.schema), ensure_ascii=False)
    return sum(len(part.encode(errors="replace")) for part in (prompt.system, prompt.user, schema))


@each_row("filling", FILLINGS.values(), ids=list(FILLINGS))
def test_nothing_that_is_sent_exceeds_what_is_counted_for_it(filling: str) -> None:
    for language in ("en", "ja"):
        asked = replace(QUESTION, text=filled(filling, 20_000), language=language)
        assert sent(answer_prompt(asked)) <= size(asked.text) + PROMPT_OVERHEAD
    answer = longest(filling)
    peers = tuple(Peer.of(label, answer) for label in "ABC")
    grades = shown(AskGrades(replace(QUESTION, text=filled(filling, 2_000)), peers, answer))
    assert isinstance(grades, AskGrades)
    assert grades.shown <= 4 * MAX_SHOWN
    prompt = grade_prompt(grades.question, grades.peers, grades.own)
    assert sent(prompt) <= size(grades.question.text) + grades.shown + PROMPT_OVERHEAD
    critiques = [Critique(filled(filling, 300), filled(filling, 4_000)) for _ in range(MAX_CLAIMS)]
    revision = shown(AskRevision(QUESTION, answer, critiques))
    assert isinstance(revision, AskRevision)
    prompt = revise_prompt(revision.question, revision.own, revision.critiques)
    assert sent(prompt) <= size(revision.question.text) + revision.shown + PROMPT_OVERHEAD


def test_an_answer_of_usual_length_is_shown_whole() -> None:
    answer = Answer(
        "a", "m", filled("ディスクが一杯です。", 4_500), Tokens(), 0.0, 0.0,
        claims=("ディスクが一杯",) * 8, root_cause="ログが溜まった", commands=("df -h", "du /var"),
    )  # fmt: skip
    ask = AskGrades(QUESTION, (Peer.of("A", answer),), answer)
    assert shown(ask) == ask


def test_of_a_long_answer_the_claims_stay_and_the_text_is_cut_with_a_mark() -> None:
    ask = shown(AskGrades(QUESTION, (Peer.of("A", longest("ログ")),), None))
    assert isinstance(ask, AskGrades)
    (peer,) = ask.peers
    assert peer.cut
    assert len(peer.claims) == MAX_CLAIMS, "each of them is to be graded"
    assert peer.text.startswith("tログ")
    assert peer.text.endswith(CUT)
    assert MAX_SHOWN / 2 < size(peer.text) < MAX_SHOWN
    assert size(*peer.commands) <= ALL_COMMANDS + size(CUT)
    assert peer.commands[-1] == CUT


def test_a_grader_is_told_in_so_many_words_that_an_answer_goes_on() -> None:
    peers = (Peer.of("A", longest("log ")), Peer("B", "short"))
    for language, words in (("en", "cut"), ("ja", "省略")):
        question = replace(QUESTION, language=language)
        ask = shown(AskGrades(question, peers, None))
        assert isinstance(ask, AskGrades)
        prompt = grade_prompt(question, ask.peers, None)
        assert prompt.user.count('"cut":true') == 1
        assert words in prompt.system
        whole = grade_prompt(question, peers[1:], None)
        assert '"cut"' not in whole.user


def test_a_cut_never_splits_a_character() -> None:
    text = "あ💥" * 400
    for most in range(LONGEST_LINE - 8, LONGEST_LINE):
        kept = cut(text, most)
        assert most - 4 <= size(kept) <= most
        assert text.startswith(kept.removesuffix(CUT))


def test_a_secret_is_masked_before_anything_is_cut() -> None:
    """Cut first, half of it would be left at the end, which no rule knows for what it is."""
    secret = "mysql -u root -pHunter2Hunter2Hunter2"
    answer = Answer("a", "m", filled("x ", MAX_SHOWN - 24) + secret, Tokens(), 0.0, 0.0)
    seen: list[Ask] = []

    class Looking(Scripted):
        async def call(self, ask: Ask):  # type: ignore[no-untyped-def]
            seen.append(ask)
            return await super().call(ask)

    async def says(text: str = answer.text) -> str:
        return text

    bounce, _ = orchestrator(Looking("a", says), Looking("b", says))
    question = replace(QUESTION, masker=Masker("secrets"))
    asyncio.run(bounce.analyse(question, "basic"))
    texts = [peer.text for ask in seen if isinstance(ask, AskGrades) for peer in ask.peers]
    assert texts
    assert all(text.endswith(CUT) and "Hunter" not in text for text in texts)


def test_the_user_reads_the_whole_of_an_answer_that_its_peers_saw_a_part_of() -> None:
    text = "t" + filled("ログ", 40_000)
    graders = Scripted("a", text), Scripted("b", text)
    bounce, _ = orchestrator(*graders)
    analysis = asyncio.run(bounce.analyse(QUESTION, "basic"))
    assert analysis.answer.text == text
    assert all(len(peer.text) < len(text) for grader in graders for peers in grader.shown for peer in peers)
