"""What `techsapo init` asks about alerts, on a terminal and by its options."""

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

from in_process import techsapo
from rows import each_row
from servers import wait_for

from techsapo_ops.catalogue.yaml_text import read_yaml

HOOK = "https://hooks.slack.com/services/T0/B0/planted-secret"
WATCHER = "https://hc.example.com/ping/planted-secret"


def init(folder: Path, *words: str, given: str = "") -> subprocess.CompletedProcess[str]:
    return techsapo(folder, "init", *words, stdin=given)


def validated(folder: Path) -> str:
    done = techsapo(folder, "validate")
    assert done.returncode == 0, done.stderr
    return done.stderr


def written(folder: Path) -> dict[str, Any]:
    text = (folder / "techsapo.yaml").read_text(encoding="utf-8")
    assert "planted-secret" not in text
    found: dict[str, Any] = read_yaml(text)
    return found


def test_a_receiver_a_watcher_and_the_pages_address_are_given_by_options_and_secrets_by_files(
    tmp_path: Path,
) -> None:
    (tmp_path / "watcher-url").write_text(WATCHER + "\n")
    done = init(
        tmp_path, "--alerts", "slack", "--alerts-url-file", "-", "--watcher-url-file", "watcher-url",
        "--public-url", "https://ops.example.com", given=HOOK + "\n",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "planted-secret" not in done.stdout + done.stderr
    told = written(tmp_path)
    slack = [{"kind": "slack", "url_file": "secrets/slack"}]
    assert told["notifications"] == {
        "critical": slack, "warning": slack, "info": slack,
        "watchdog": [{"kind": "webhook", "url_file": "secrets/watcher"}],
    }  # fmt: skip
    assert told["app"] == {"public_url": "https://ops.example.com"}
    for name, content in (("slack", HOOK), ("watcher", WATCHER)):
        file = tmp_path / "secrets" / name
        assert file.read_text() == content + "\n"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert (tmp_path / "secrets/.gitignore").read_text() == "*\n"
    assert "reach no one" not in validated(tmp_path)


def test_e_mail_needs_a_server_and_its_password_stays_in_a_file(tmp_path: Path) -> None:
    done = init(
        tmp_path, "--alerts", "email", "--alerts-to", "ops@example.com", "--smtp", "mail.example.com:587",
        "--smtp-user", "techsapo", "--smtp-password-file", "-", given="planted-secret\n",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = written(tmp_path)["notifications"]
    assert told["info"] == [{"kind": "email", "to": "ops@example.com"}]
    assert told["smtp"] == {
        "smarthost": "mail.example.com:587", "sender": "techsapo@example.com",
        "username": "techsapo", "password_file": "secrets/smtp",
    }  # fmt: skip
    assert stat.S_IMODE((tmp_path / "secrets/smtp").stat().st_mode) == 0o600
    validated(tmp_path)


@each_row(
    "to",
    [
        "Ops <ops@example.com>", '"Ops, Team" <ops@example.com>', "運用 <ops@example.com>",
        "ops@example.com, Head <head@elsewhere.example>",
    ],
)  # fmt: skip
def test_e_mail_comes_from_an_address_of_the_receivers_domain_however_the_receiver_is_written(
    tmp_path: Path, to: str
) -> None:
    done = init(tmp_path, "--alerts", "email", "--alerts-to", to, "--smtp", "mail.example.com:587")
    assert done.returncode == 0, done.stderr
    told = written(tmp_path)["notifications"]
    assert told["info"] == [{"kind": "email", "to": to}]
    assert told["smtp"]["sender"] == "techsapo@example.com"


@each_row("to", ["nonsense", "ops@", "Ops ops@example.com", "a@b@example.com", "a@b.example, c"])
def test_what_is_no_address_is_refused_since_alertmanager_would_send_nothing_to_it(
    tmp_path: Path, to: str
) -> None:
    done = init(tmp_path, "--alerts", "email", "--alerts-to", to, "--smtp", "mail.example.com:587")
    assert done.returncode == 2
    assert f"--alerts-to: {to!r} is no e-mail address" in done.stderr
    assert list(tmp_path.iterdir()) == []


@each_row(
    "words, said",
    [
        (("--alerts", "slack"), "--alerts slack needs --alerts-url-file"),
        (("--alerts", "email", "--alerts-to", "a@b.example"), "--alerts email needs --smtp"),
        (("--alerts-to", "a@b.example"), "of which kind"),
        (
            ("--alerts", "email", "--alerts-to", "a@b.example", "--smtp", "b.example:25", "--smtp-user", "x"),
            "--smtp-user needs --smtp-password-file",
        ),
        (("--alerts", "webhook", "--alerts-url-file", "-"), "is empty"),
        (
            ("--alerts", "none", "--public-url", "ops.example.com"),
            "app.public_url: must be a scheme and a host",
        ),
    ],
)
def test_what_is_missing_or_nothing_for_a_spec_is_said_before_anything_is_written(
    tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    done = init(tmp_path, *words)
    assert done.returncode != 0
    assert said in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_url_with_a_blank_in_it_is_refused_for_the_blank_without_showing_it(tmp_path: Path) -> None:
    given = f"{HOOK} {HOOK}\n"
    done = init(tmp_path, "--alerts", "slack", "--alerts-url-file", "-", given=given)
    assert done.returncode == 2
    assert "the receiver's URL is none: it has a blank in it" in done.stderr
    assert HOOK not in done.stderr


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
    assert told["notifications"]["critical"] == [{"kind": "slack", "url_file": "secrets/slack"}]
    assert told["app"]["public_url"] == "https://ops.example.com"
    assert (tmp_path / "secrets/slack").read_text() == HOOK + "\n"


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
