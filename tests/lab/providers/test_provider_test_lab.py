"""`techsapo providers test` against the vendors' strict stand-ins."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import ssl
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import warm
import yaml
from asking import KEY, KINDS, PRICE
from rows import each_row
from servers import free_port
from vendors import OUTPUT_TOKENS, Vendor, vendor
from vendors.wires import WIRES

from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.certs.self_signed import ensure
from techsapo_ops.spec.load import LoadedSpec
from techsapo_ops.spec.models import Spec
from techsapo_ops.wallbounce.providers.failures import Cause
from techsapo_ops.wallbounce.providers.overview import plan_tests
from techsapo_ops.wallbounce.providers.try_provider import Candidate, Check, Outcome, Tried, try_provider

pytestmark = pytest.mark.lab

PLAYS: list[dict[str, Any]] = read_yaml(
    (Path(__file__).parents[2] / "cases" / "provider_tests.yaml").read_text(encoding="utf-8")
)

DAY = date(2026, 11, 26)


class Told:
    """What the command said: exit code, stdout, stderr."""

    def __init__(self, code: int, out: bytes, err: bytes) -> None:
        self.code, self.out, self.err = code, out.decode(), err.decode()

    @property
    def value(self) -> Any:
        """Its --json."""
        return json.loads(self.out)

    def provider(self, name: str = "a") -> Any:
        """One provider of its --json."""
        (found,) = (each for each in self.value["providers"] if each["name"] == name)
        return found


def section(kind: str, url: str, model: str, **more: Any) -> dict[str, Any]:
    return {"kind": kind, "base_url": url, "model": model, "api_key": KEY, "price": PRICE, **more}


def write(folder: Path, providers: Mapping[str, Any]) -> None:
    folder.chmod(0o700)
    spec = {"project": "lab", "providers": providers}
    (folder / "techsapo.yaml").write_text(yaml.safe_dump(spec), encoding="utf-8")
    (folder / "techsapo.yaml").chmod(0o600)


async def techsapo(folder: Path, *words: str) -> Told:
    argv = [sys.executable, "-m", "techsapo_ops", *words]
    environment = {**os.environ, "NO_COLOR": "1"}
    done = await asyncio.to_thread(warm.run, argv, environment, cwd=folder)
    return Told(done.returncode, done.stdout, done.stderr)


@asynccontextmanager
async def one(folder: Path, kind: str, model: str) -> AsyncIterator[Vendor]:
    """A vendor of `kind`, and a spec that asks it as providers `a` and `b`: an analysis compares two."""
    async with vendor(WIRES[kind]) as seen:
        write(folder, dict.fromkeys("ab", section(kind, seen.url, model)))
        yield seen


def candidate_of(given: dict[str, Any], at_most: float = 0.01) -> Candidate:
    """The provider of a section, as the command tries it."""
    spec = Spec.model_validate({"project": "p", "providers": {"a": {"timeout": "2s", **given}}})
    loaded = LoadedSpec(spec, (), {}, None, "techsapo.yaml")
    (candidate,) = plan_tests(loaded, (), at_most).candidates
    return candidate


def tried(
    kind: str, model: str, at_most: float = 0.01, retires: date | None = None, **more: Any
) -> tuple[Tried, Vendor, float]:
    """What is found on DAY where a vendor of `kind` plays `model`, and what it could cost at most.

    `retires` is the day that its list names for the end of the model.
    """

    async def main() -> tuple[Tried, Vendor, float]:
        async with vendor(WIRES[kind]) as seen:
            if retires is not None:
                seen.retires[model] = retires
            candidate = candidate_of(section(kind, seen.url, model, **more), at_most)
            return await try_provider(candidate, DAY), seen, candidate.worst

    return asyncio.run(main())


def checks(found: Tried) -> dict[str, Check]:
    return {check.name: check for check in found.checks}


@each_row("kind", KINDS)
@each_row("stream", [False, True])
def test_a_provider_that_works_is_asked_for_an_answer_within_a_cent(kind: str, stream: bool) -> None:
    found, seen, worst = tried(kind, "good", stream=stream)
    assert found.outcome is Outcome.OK, found.checks
    assert list(checks(found)) == ["list", "answer", "schema"]
    assert {check.outcome for check in found.checks} == {Outcome.OK}
    assert found.tokens.output == OUTPUT_TOKENS
    assert found.seconds is not None
    assert found.seconds > 0
    assert 0 < found.cost_usd <= worst <= 0.01
    assert not seen.refused
    (asked,) = seen.asked
    assert (bool(asked.body.get("stream")), asked.schema is not None) == (stream, True)


@each_row("kind", ["openai", "anthropic", "openrouter"])
@each_row(
    "day, outcome, words",
    [
        (date(2026, 12, 20), "warning", "is retired on 2026-12-20"),
        (date(2027, 6, 1), "ok", "it is available until 2027-06-01"),
    ],
)
def test_an_end_that_the_vendors_list_names_is_told_and_warned_of_when_near(
    kind: str, day: date, outcome: str, words: str
) -> None:
    found, _, _ = tried(kind, "good", retires=day)
    assert checks(found)["list"].outcome == outcome
    assert words in checks(found)["list"].detail
    assert found.end == day


@each_row("kind", KINDS)
def test_a_model_that_nobody_lists_is_told_and_what_to_do(kind: str) -> None:
    found, _, _ = tried(kind, "gpt-99-nowhere")
    assert checks(found)["list"].outcome is Outcome.WARNING
    assert "gpt-99-nowhere is not in the vendor's list" in checks(found)["list"].detail
    assert checks(found)["list"].remedy.startswith("check the spelling of `model`")
    assert found.outcome is Outcome.FAILED
    assert checks(found)["answer"].cause in {Cause.MODEL, Cause.ADDRESS, Cause.REJECTED}


@each_row("play", PLAYS, ids=lambda play: str(play["model"]))
@each_row("kind", KINDS)
def test_each_failure_is_told_with_its_cause_and_what_to_do(kind: str, play: dict[str, Any]) -> None:
    found, _, _ = tried(kind, play["model"])
    assert found.outcome == play["outcome"], found.checks
    (worst,) = (c for c in found.checks if c.name in play["check"] and c.outcome == play["outcome"])
    cause = play.get("cause")
    assert worst.cause in (cause if isinstance(cause, list) else [cause])
    assert worst.detail
    assert worst.remedy
    assert not any(KEY in check.detail + check.remedy for check in found.checks)


@each_row("kind", KINDS)
def test_a_model_that_turns_the_schema_away_is_told_and_is_no_fault(kind: str) -> None:
    found, _, _ = tried(kind, "no-schema")
    assert found.outcome is Outcome.OK, found.checks
    assert (
        checks(found)["schema"].detail
        == "the model rejects the schema, but follows it when the prompt describes it"
    )


def test_an_expensive_model_is_asked_only_as_much_as_a_cent_pays() -> None:
    found, seen, worst = tried("anthropic", "good", price={"input": 5, "output": 25})
    assert found.outcome is Outcome.OK
    assert found.cost_usd <= worst == 0.01
    assert seen.asked[0].body["max_tokens"] < 1024


def test_the_command_says_before_what_it_may_cost(tmp_path: Path) -> None:
    async def main() -> Told:
        async with one(tmp_path, "openai", "good"):
            return await techsapo(tmp_path, "providers", "test", "a", "--json")

    told = asyncio.run(main())
    assert told.code == 0, told.err
    assert "at most $0.01 in total" in told.err
    assert told.provider()["price"] == {"input": 2, "output": 8, "known": True, "source": "spec"}
    assert 0 < told.provider()["cost_usd"] <= told.value["at_most_usd"] <= 0.01


def test_a_key_that_is_refused_is_told_without_the_key(tmp_path: Path) -> None:
    async def main() -> None:
        async with one(tmp_path, "openai", "good") as seen:
            seen.key = "sk-another"
            told = await techsapo(tmp_path, "providers", "test")
            assert told.code == 1
            assert "try: put a valid key" in told.out
            assert KEY not in told.out + told.err
            assert not seen.asked
            seen.key = KEY
            fixed = await techsapo(tmp_path, "providers", "test")
            assert fixed.code == 0, fixed.out

    asyncio.run(main())


def test_simulated_and_disabled_providers_and_those_without_a_key_are_left_out(tmp_path: Path) -> None:
    async def main() -> None:
        async with vendor(WIRES["openai"]) as seen:
            url = seen.url
            write(tmp_path, {
                "a": section("openai", url, "good"),
                "b": section("openai", url, "good"),
                "sim": {"kind": "simulated"},
                "off": section("openai", url, "good", enabled=False),
                "keyless": section("openai", url, "good", api_key="${NO_SUCH_KEY}"),
            })  # fmt: skip
            told = await techsapo(tmp_path, "providers", "test", "--json")
            assert told.code == 0, told.err
            assert [each["name"] for each in told.value["providers"]] == ["a", "b"]
            left = {each["name"]: each["reason"] for each in told.value["left_out"]}
            assert left["sim"] == "simulated: nothing to test"
            assert left["off"] == "disabled in the spec"
            assert "NO_SUCH_KEY" in left["keyless"]
            named = await techsapo(tmp_path, "providers", "test", "keyless", "off", "--json")
            assert named.code == 1
            assert named.value["unusable"][0]["name"] == "keyless"
            assert [each["name"] for each in named.value["providers"]] == ["off"]
            wrong = await techsapo(tmp_path, "providers", "test", "c")
            assert (wrong.code, wrong.out) == (2, "")
            assert "there is no provider c" in wrong.err

    asyncio.run(main())


def test_a_host_that_is_not_there_or_takes_no_connection_is_told(tmp_path: Path) -> None:
    write(tmp_path, {
        "gone": section("openai-compatible", f"http://127.0.0.1:{free_port()}/v1", "m"),
        "nowhere": section("openai", "https://api.vendor.invalid/v1", "m"),
    })  # fmt: skip
    told = asyncio.run(techsapo(tmp_path, "providers", "test", "--json"))
    assert told.code == 1
    for name in ("gone", "nowhere"):
        check = told.provider(name)["checks"][-1]
        assert check["cause"] == "unreachable"
        assert "cannot be reached" in check["detail"]


def test_a_host_whose_certificate_nobody_vouches_for_is_told_before_it_gets_the_key(tmp_path: Path) -> None:
    folder = tmp_path / "certs" / "lab"
    ensure(folder, ["localhost"], now=datetime.now(UTC))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "fullchain.pem", folder / "privkey.pem")
    heard: list[bytes] = []

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(4096))
        writer.close()

    async def main() -> Tried:
        async with await asyncio.start_server(hear, "127.0.0.1", 0, ssl=server) as listening:
            port = listening.sockets[0].getsockname()[1]
            return await try_provider(
                candidate_of(section("openai", f"https://localhost:{port}/v1", "m")), DAY
            )

    found = asyncio.run(main())
    (check,) = found.checks
    assert (check.outcome, check.cause) == (Outcome.FAILED, Cause.UNREACHABLE)
    assert check.detail.startswith("cannot be reached (the server's certificate can't be trusted: ")
    assert not any(KEY.encode() in each for each in heard)


def test_what_a_vendor_says_reaches_the_terminal_without_its_orders_and_without_the_key(
    tmp_path: Path,
) -> None:
    hostile = f"\x1b]0;owned\x07\x1b[2J{KEY} \u202e<b>"

    async def main() -> None:
        async with one(tmp_path, "openai", "good") as seen:
            seen.reply = {"status": 400, "body": {"error": {"message": hostile, "type": "x", "code": "y"}}}
            for words in ((), ("--json",)):
                told = await techsapo(tmp_path, "providers", "test", *words)
                assert told.code == 1
                assert "\x1b" not in told.out + told.err
                assert "\u202e" not in told.out + told.err
                assert KEY not in told.out + told.err

    asyncio.run(main())


def test_ctrl_c_ends_it_at_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with vendor(WIRES["openai"]) as seen:
            write(tmp_path, {
                "quick": section("openai", seen.url, "good"), "slow": section("openai", seen.url, "slow"),
            })  # fmt: skip
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "techsapo_ops", "providers", "test",
                cwd=tmp_path, env={**os.environ, "NO_COLOR": "1"}, stdout=-1, stderr=-1,
            )  # fmt: skip
            assert process.stderr is not None
            async for line in process.stderr:
                if b"quick: answered" in line:
                    break
            for _ in range(6000):  # the slow one's call may come later than the quick one's answer
                if len(seen.asked) == 2:
                    break
                await asyncio.sleep(0.01)
            process.send_signal(signal.SIGINT)
            await process.communicate()
            assert process.returncode == 130
            for _ in range(200):
                if seen.dropped:
                    break
                await asyncio.sleep(0.01)
            assert seen.dropped == 1, "the vendor is told that nobody waits any more"

    asyncio.run(main())
