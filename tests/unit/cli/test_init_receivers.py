"""What `techsapo init` asks about alerts."""

from __future__ import annotations

import os
import pty
import select
import stat
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import Any

import pytest
import typer
from in_process import techsapo
from rows import each_row
from servers import wait_for

from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.cli.first_receivers import FirstReceivers, _people

HOOK = "https://hooks.slack.com/services/T0/B0/planted-secret"
WATCHER = "https://hc.example.com/ping/planted-secret"


def validated(folder: Path) -> str:
    done = techsapo(folder, "validate")
    assert done.returncode == 0, done.stderr
    return done.stderr


def written(folder: Path) -> dict[str, Any]:
    text = (folder / "techsapo.yaml").read_text(encoding="utf-8")
    assert "planted-secret" not in text
    found: dict[str, Any] = read_yaml(text)
    return found


@each_row(
    "to",
    [
        "Ops <ops@example.com>", '"Ops, Team" <ops@example.com>', "運用 <ops@example.com>",
        "ops@example.com, Head <head@elsewhere.example>",
    ],
)  # fmt: skip
def test_e_mail_comes_from_an_address_of_the_receivers_domain_however_the_receiver_is_written(
    to: str,
) -> None:
    told = FirstReceivers("email", to=to, smarthost="mail.example.com:587").notifications("secrets")
    assert (told["info"], told["receivers"]) == (["team"], {"team": {"kind": "email", "to": to}})
    assert told["smtp"]["sender"] == "techsapo@example.com"


@each_row("to", ["nonsense", "ops@", "Ops ops@example.com", "a@b@example.com", "a@b.example, c"])
def test_what_is_no_address_is_refused_since_alertmanager_would_send_nothing_to_it(to: str) -> None:
    with pytest.raises(typer.BadParameter, match=r"ops@example\.com"):
        _people(to)


def test_where_nobody_can_be_asked_alerts_reach_no_one_and_it_says_so(tmp_path: Path) -> None:
    done = techsapo(tmp_path, "init")
    assert done.returncode == 0, done.stderr
    assert "alerts and the weekly report reach no one yet" in done.stderr
    assert (tmp_path / "secrets/.gitignore").read_text() == "*\n"


def on_a_terminal(folder: Path, answers: list[tuple[str, str]]) -> tuple[int, str]:
    """Exit code and screen of `techsapo init`; each answer is typed when its question is there."""
    parent, child = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "techsapo_ops", "init"],
        cwd=folder, stdin=child, stdout=child, stderr=child, env={"PATH": "", "TERM": "dumb"},
    )  # fmt: skip
    os.close(child)
    shown, waiting, seen = "", list(answers), 0
    deadline = time.monotonic() + 90
    while select.select([parent], [], [], max(deadline - time.monotonic(), 0))[0]:
        try:
            data = os.read(parent, 65536)
        except OSError:  # the last writer closed the terminal
            break
        shown += data.decode(errors="replace")
        while waiting and waiting[0][0] in shown[seen:]:
            question, answer = waiting.pop(0)
            seen = shown.index(question, seen) + len(question)
            if (
                "URL" in question or "password" in question
            ):  # what was typed before the echo is off is thrown away
                wait_for(lambda: not termios.tcgetattr(parent)[3] & termios.ECHO)
            os.write(parent, f"{answer}\n".encode())
    process.terminate()  # where it still asks
    os.close(parent)
    return process.wait(30), shown


def test_on_a_terminal_it_asks_shows_no_secret_and_asks_again_for_what_is_no_url(tmp_path: Path) -> None:
    code, screen = on_a_terminal(
        tmp_path,
        [
            ("none]:", "slak"), ("none]:", "slack"),
            ("incoming webhook's URL:", "hooks.slack.com/planted-secret"), ("incoming webhook's URL:", HOOK),
            ("its URL, or Enter for none:", WATCHER),
            ("Enter for this host alone:", "https://ops.example.com"),
        ],
    )  # fmt: skip
    assert code == 0, screen
    assert "planted-secret" not in screen
    assert "write one of slack, email, webhook, none" in screen
    assert "it does not start with https:// or http://" in screen, "the reason, without the value"
    told = written(tmp_path)
    section = told["notifications"]
    assert section["receivers"] == {
        "team": {"kind": "slack", "url_file": "secrets/slack"},
        "watcher": {"kind": "webhook", "url_file": "secrets/watcher"},
    }
    assert (section["critical"], section["watchdog"]) == (["team"], ["watcher"])
    assert told["app"]["public_url"] == "https://ops.example.com"
    for name, content in (("slack", HOOK), ("watcher", WATCHER)):
        file = tmp_path / "secrets" / name
        assert file.read_text() == content + "\n"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "reach no one" not in validated(tmp_path)


def test_what_is_no_mail_server_or_no_password_is_asked_again_at_once(tmp_path: Path) -> None:
    code, screen = on_a_terminal(
        tmp_path,
        [
            ("none]:", "email"), ("to:", "nonsense"), ("to:", "ops@example.com"),
            ("HOST:PORT:", "mail.example.com"), ("HOST:PORT:", "mail.example.com:587"),
            ("account on it:", "techsapo"), ("its password:", ""), ("its password:", "planted-secret"),
            ("its URL, or Enter for none:", ""), ("Enter for this host alone:", ""),
        ],
    )  # fmt: skip
    assert code == 0, screen
    assert "planted-secret" not in screen
    for said in ("write e.g. ops@example.com", "write host and port", "an account has a password"):
        assert said in screen
    assert written(tmp_path)["notifications"]["smtp"]["smarthost"] == "mail.example.com:587"
    assert (tmp_path / "secrets/smtp").read_text() == "planted-secret\n"
    validated(tmp_path)
