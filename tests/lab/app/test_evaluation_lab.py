"""`techsapo eval` against a real `techsapo serve`: within its budget, killed and gone on, interrupted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from orchestrator import QUICK, serving
from servers import Server

PRICE = {"input": 100, "output": 100}
CASES = 6
SUBJECTS = ("nginx", "docker")


def command(server: Server, folder: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "techsapo_ops", "eval", str(folder), "--url", server.url, *words]


def run(server: Server, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(server, folder, *words), cwd=folder.parent, capture_output=True, text=True, timeout=120,
        check=False, env={**os.environ, "TECHSAPO_LANG": "en"},
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Half of the cases ask of what simulated providers know; the others want what they never say."""
    cases = [
        {
            "id": f"case-{n}",
            "question": f"{SUBJECTS[n % 2]} fails in place {n}",
            "language": "en",
            "must_say": ["simulated" if n % 2 == 0 else "zz"],
        }
        for n in range(CASES)
    ]
    made = tmp_path / "cases"
    made.mkdir()
    (made / "cases.yaml").write_text(yaml.safe_dump(cases))
    return made


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    providers = {name: {**each, "price": PRICE, "latency": "100ms"} for name, each in QUICK.items()}
    with serving(tmp_path / "app", providers=providers) as started:
        yield started


def read(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.stdout, done.stderr
    made: dict[str, Any] = json.loads(done.stdout)
    return made


def test_a_run_says_how_many_are_right_that_they_are_simulated_and_stops_within_its_budget(
    server: Server, folder: Path
) -> None:
    done = run(server, folder, "--json")
    print(done.stderr)
    whole = read(done)
    assert (done.returncode, whole["asked"], whole["simulated"], whole["ended"]) == (0, CASES, True, "all")
    assert whole["overall"]["right"] == CASES // 2
    assert set(whole["tiers"]) == {"basic"}
    assert len(whole["providers"]) == 2
    assert len(whole["pairs"]) == 1
    spoken = run(server, folder)
    assert "simulated" in spoken.stdout
    assert "case-1: wrong (zz)" in spoken.stdout
    assert whole["spent_usd"] > 0
    assert "came from the cache" in spoken.stderr


def test_a_budget_for_some_stops_before_it_is_exceeded(server: Server, folder: Path) -> None:
    one = read(run(server, folder, "--json", "--budget", "0.01"))
    assert (one["asked"], one["ended"]) == (1, "budget")
    budget = one["spent_usd"] * 3.5
    some = read(run(server, folder, "--json", "--tier", "premium", "--budget", f"{budget * 2}"))
    assert 1 <= some["asked"] < CASES
    assert some["spent_usd"] <= budget * 2


def test_a_killed_run_goes_on_and_pays_for_no_answer_twice(
    server: Server, folder: Path, tmp_path: Path
) -> None:
    save = tmp_path / "run.jsonl"
    child = subprocess.Popen(
        command(server, folder, "--save", str(save)), cwd=tmp_path, stdout=subprocess.DEVNULL
    )
    while child.poll() is None and (not save.exists() or save.read_bytes().count(b"\n") < 3):
        pass
    child.kill()
    child.wait()
    before = save.read_bytes()
    assert 3 <= before.count(b"\n") <= CASES
    made = read(run(server, folder, "--save", str(save), "--json"))
    assert (made["asked"], made["ended"], made["cached"]) == (CASES, "all", 0)
    assert save.read_bytes().startswith(before[: before.rfind(b"\n") + 1])
    again = run(server, folder, "--save", str(save), "--json", "--compare", str(save))
    assert read(again)["comparison"]["p_accuracy"] == 1
    assert read(again)["spent_usd"] == pytest.approx(made["spent_usd"])


def test_an_interrupted_run_shows_what_is_there(server: Server, folder: Path, tmp_path: Path) -> None:
    save = tmp_path / "run.jsonl"
    child = subprocess.Popen(
        command(server, folder, "--save", str(save), "--json"), cwd=tmp_path, stdout=subprocess.PIPE
    )
    while child.poll() is None and (not save.exists() or save.read_bytes().count(b"\n") < 2):
        pass
    child.send_signal(signal.SIGINT)
    out, _ = child.communicate(timeout=60)
    assert child.returncode == 130
    made = json.loads(out)
    assert made["ended"] == "interrupted"
    assert 1 <= made["asked"] < CASES


def test_below_a_baseline_it_exits_1_and_with_a_wrong_folder_2(
    server: Server, folder: Path, tmp_path: Path
) -> None:
    baseline = tmp_path / "baseline.json"
    baseline.write_text(run(server, folder, "--json").stdout)
    assert run(server, folder, "--baseline", str(baseline)).returncode == 0
    better = json.loads(baseline.read_text())
    better["overall"]["accuracy"]["low"] = 0.9
    baseline.write_text(json.dumps(better))
    done = run(server, folder, "--baseline", str(baseline))
    assert done.returncode == 1
    assert "below the baseline" in done.stderr
    assert run(server, tmp_path / "nothing").returncode == 2
