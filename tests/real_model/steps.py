"""What is asked of a real model, and what has to hold whatever it answers."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.real_model.investigations import investigated

QUESTION = "The disk of db-1 is full. What do I check first?"
JAPANESE = "db-1のディスクが一杯です。何を確認しますか？"
LOG = """\
11月 26 03:12:07 db-1 mariadbd[812]: [ERROR] InnoDB: Write to file ./ibdata1 failed at offset 1048576
11月 26 03:12:07 db-1 mariadbd[812]: [ERROR] InnoDB: Error number 28 means 'No space left on device'
11月 26 03:12:08 db-1 systemd[1]: mariadb.service: メインプロセスが終了しました（status=1/FAILURE）
"""
_VERDICT = {"answer", "outcome", "confidence", "consensus", "grades", "providers", "cost_usd", "tokens"}
_PATIENCE = 900.0


class BrokenError(Exception):
    """Something does not hold."""


@dataclass(frozen=True, slots=True)
class Step:
    """What was done, whether it held, how long it took, and what there is to say of the model's part."""

    name: str
    holds: bool
    seconds: float
    says: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where the spec is and where the app listens; `late` is the address of one that gives up after 5 s."""

    folder: Path
    url: str
    late: str
    say: Callable[[str], None]
    answers: dict[str, Any] = field(default_factory=dict)
    """What came back by question."""


def steps(place: Place, only: Collection[str] = ()) -> Iterator[Step]:
    """Do all, or `only` those of a name, one after the other: what comes later is told too where something
    does not hold.
    """
    done: list[tuple[str, Callable[[Place], str]]] = [
        ("providers test", _providers_test),
        ("ask", _asked),
        ("ask in Japanese", _in_japanese),
        ("ask again: from the cache", _asked_again),
        ("stream", _stream),
        ("ask about a log", _logs),
        ("chat completion", _chat),
        ("chat completion, streamed", _chat_stream),
        ("investigations", _investigations),
        ("deadline of 5 s", _deadline),
        ("health", _health),
    ]
    for name, do in done:
        if only and name not in only:
            continue
        began = time.monotonic()
        try:
            says, holds = do(place), True
        except (BrokenError, httpx.HTTPError, subprocess.TimeoutExpired, ValueError, KeyError) as error:
            says, holds = f"{type(error).__name__}: {error}", False
        yield Step(name, holds, time.monotonic() - began, says)


def _providers_test(place: Place) -> str:
    told = _json(_techsapo(place, "providers", "test", "--json", codes=(0, 1)))
    words = []
    for provider in told["providers"]:
        checks = {check["check"]: check for check in provider["checks"]}
        _hold(checks["list"]["outcome"] == "ok", f"{provider['name']} is not in the server's list: {checks}")
        took = provider["seconds"]
        _hold(provider["outcome"] != "failed" or checks["answer"]["cause"] != "unreachable", str(checks))
        outcomes = ", ".join(f"{n} {c['outcome']}" for n, c in checks.items())
        words.append(f"{provider['name']}: {outcomes}{f'; {took:g} s' if took else ''}")
    return "; ".join(words)


def _asked(place: Place) -> str:
    return _verdict(_ask(place, QUESTION))


def _in_japanese(place: Place) -> str:
    body = _ask(place, JAPANESE)
    _hold(body["language"] == "ja", "a Japanese question is not answered in Japanese")
    japanese = any("\u3040" <= letter <= "\u9fff" for letter in body["answer"])
    return f"{_verdict(body)}; the text {'has' if japanese else 'has no'} Japanese"


def _asked_again(place: Place) -> str:
    """An answer is kept where nothing failed on the way."""
    for question, before in list(place.answers.items()):
        whole = all(provider["status"] == "answered" for provider in before["providers"])
        if whole and all(grade["mean"] is not None for grade in before["grades"]) and before["grades"]:
            began = time.monotonic()
            _hold(_ask(place, question)["cache"] == "hit", "the same question was asked of the models again")
            return f"a hit, after {time.monotonic() - began:.1f} s with the start of the command"
    return "not asked: in no answer so far both had answered and graded, and others are not kept"


def _ask(place: Place, question: str) -> Any:
    body = place.answers[question] = _json(_techsapo(place, "ask", "--json", question))
    return body


def _stream(place: Place) -> str:
    began = time.monotonic()
    asked = {"prompt": f"{QUESTION} And then?", "language": "en"}
    with httpx.stream(
        "POST", f"{place.url}/api/v1/generate", json=asked, headers={"Accept": "text/event-stream"},
        timeout=_PATIENCE, trust_env=False,
    ) as response:  # fmt: skip
        headers = time.monotonic() - began
        _hold(response.status_code == 200, f"HTTP {response.status_code}")
        _hold(headers < 5, f"the headers came after {headers:.1f} s")
        lines, longest, last = [], 0.0, time.monotonic()
        for line in response.iter_lines():
            longest, last = max(longest, time.monotonic() - last), time.monotonic()
            lines.append(line)
    _hold(longest < 30, f"nothing came for {longest:.0f} s")
    events = [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]
    _hold(events[:1] == ["asked"], f"the first event is {events[:1]}")
    _hold(events[-1] in {"verdict", "problem"}, f"the last event is {events[-1:]}")
    beats = sum(line.startswith(":") for line in lines)
    told = f"headers after {headers:.2f} s; {', '.join(events)}"
    return f"{told}; {_count(beats, 'heartbeat')}; longest silence {longest:.0f} s"


def _logs(place: Place) -> str:
    log = place.folder / "mariadb.log"
    log.write_text(LOG, encoding="utf-8")
    body = _json(_techsapo(place, "ask", "--json", "--log", str(log)))
    _hold(body["severity"] != "", "no severity")
    told = f"{body['problem_category']}, {body['severity']}, confidence {body['confidence']:.2f}"
    return f"{told}, {_count(len(body['solution_steps']), 'step')}"


def _chat(place: Place) -> str:
    asked = {"model": "techsapo-basic", "messages": [{"role": "user", "content": "What is exit code 137?"}]}
    response = httpx.post(f"{place.url}/v1/chat/completions", json=asked, timeout=_PATIENCE, trust_env=False)
    body = response.json()
    _hold(response.status_code == 200, f"HTTP {response.status_code}: {response.text[:200]}")
    (choice,) = body["choices"]
    _hold(bool(choice["message"]["content"].strip()), "the text is empty")
    _hold(body["usage"]["total_tokens"] > 0, "no tokens were counted")
    return f"finish {choice['finish_reason']}, {body['usage']['total_tokens']} tokens"


def _chat_stream(place: Place) -> str:
    asked = {
        "model": "techsapo-basic+notes", "stream": True,
        "messages": [{"role": "user", "content": "What is exit code 139?"}],
    }  # fmt: skip
    with httpx.stream(
        "POST", f"{place.url}/v1/chat/completions", json=asked, timeout=_PATIENCE, trust_env=False
    ) as response:
        _hold(response.status_code == 200, f"HTTP {response.status_code}")
        data = [line.removeprefix("data: ") for line in response.iter_lines() if line.startswith("data: ")]
    _hold(data[-1:] == ["[DONE]"], f"it ends with {data[-1:]}")
    chunks = [json.loads(each) for each in data[:-1]]
    text = "".join(choice["delta"].get("content") or "" for c in chunks for choice in c.get("choices", ()))
    _hold(bool(text.strip()), "the text is empty")
    return f"{len(chunks)} chunks, {len(text)} characters with notes"


def _investigations(place: Place) -> str:
    said, broken = investigated(place.url, place.late, place.say)
    _hold(not broken, f"{'; '.join(broken)}; {said}")
    return said


def _deadline(place: Place) -> str:
    began = time.monotonic()
    response = httpx.post(
        f"{place.late}/api/v1/generate", json={"prompt": "Write all you know about disks."}, timeout=60,
        trust_env=False,
    )  # fmt: skip
    took = time.monotonic() - began
    _hold(took < 10, f"it took {took:.1f} s")
    return f"HTTP {response.status_code} after {took:.1f} s"


def _health(place: Place) -> str:
    body = httpx.get(f"{place.url}/api/v1/health", timeout=30, trust_env=False).json()
    return f"{body['status']}"


def _verdict(body: Any) -> str:
    missing = _VERDICT - set(body)
    _hold(not missing, f"the answer has no {missing}")
    _hold(body["cost_usd"] == 0, "a local model cost something")
    _hold(0 <= body["confidence"] <= 1 and 0 <= (body["consensus"] or 0) <= 1, "a share beyond 0 and 1")
    answered = sum(provider["status"] == "answered" for provider in body["providers"])
    absent = sum(grade["mean"] is None for grade in body["grades"])
    grades = _count(len(body["grades"]), "grade") + (f", {absent} of them not readable" if absent else "")
    consensus = "none" if body["consensus"] is None else format(body["consensus"], ".2f")
    return (
        f"{body['outcome']}, confidence {body['confidence']:.2f}, consensus {consensus}, "
        f"{answered} of {len(body['providers'])} answered, {grades}, {body['tokens']['output']} tokens"
    )


def _techsapo(place: Place, *words: str, codes: tuple[int, ...] = (0,)) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "techsapo_ops", *words], cwd=place.folder, capture_output=True, text=True,
        timeout=_PATIENCE, check=False,
    )  # fmt: skip
    _hold(done.returncode in codes, f"{words[0]} ended with {done.returncode}: {done.stderr.strip()[-400:]}")
    return done.stdout


def _json(text: str) -> Any:
    return json.loads(text)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _hold(good: bool, otherwise: str) -> None:
    if not good:
        raise BrokenError(otherwise)
