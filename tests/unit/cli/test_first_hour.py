"""The mistakes of a first hour, each with what is said of it in both languages and how it ends."""

from __future__ import annotations

import json
import os
import re
import shlex
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import warm
from in_process import techsapo
from rows import each_row

from techsapo_ops.catalogue.translations import LANGUAGES
from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.messages import msg
from techsapo_ops.serve.http.problems import Problem

TABLE = read_yaml((Path(__file__).parents[2] / "cases" / "first_hour.yaml").read_text(encoding="utf-8"))
MINIMAL = "project: techsapo\n"
KANA = re.compile("[\u3040-\u30ff]")
BY_COMMAND = re.compile(r"`([^`]*)`")
KEPT = re.compile(r"techsapo\.yaml:\d+:\d+|--[a-z]+\b|[A-Z]+_[A-Z]+")
"""What is the same in every language: places, options, variables."""


def telling(status: int, kind: str, bodies: Mapping[str, str]) -> type[BaseHTTPRequestHandler]:
    """What answers every request by the same, in the language of whoever asks."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body = bodies[self.headers.get("Accept-Language", "en")].encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815 - as http.server calls it

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


@contextmanager
def answering(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """The port that `handler` answers on."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield str(server.server_port)
        server.shutdown()


@contextmanager
def silent() -> Iterator[str]:
    """A port that nothing listens on and nobody else gets."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield str(held.getsockname()[1])


REFUSAL = Problem(401, "unauthorized", msg("that API key is not known"))
REFUSALS = {language: json.dumps(REFUSAL.document("", language)) for language in LANGUAGES}
PAGE = dict.fromkeys(LANGUAGES, "<h1>It works!</h1>")
PORTS: Mapping[str, Callable[[], AbstractContextManager[str]]] = {
    "an app that refuses the key": lambda: answering(telling(401, "application/problem+json", REFUSALS)),
    "another site at that address": lambda: answering(telling(200, "text/html", PAGE)),
    "nothing listens": silent,
}
"""What is at PORT of the address or the spec."""
PROGRAMS = {
    "no Docker daemon runs": "Cannot connect to the Docker daemon at unix:///var/run/docker.sock."
    " Is the docker daemon running?",
    "the user is not in the group docker": "permission denied while trying to connect to the Docker daemon"
    " socket at unix:///var/run/docker.sock",
}
"""What `docker` says, the only program there is."""


def typed(case: Mapping[str, Any], folder: Path, language: str = "en") -> tuple[int, str, str]:
    """The exit code, stdout and stderr of a mistake, made in `folder`."""
    with ExitStack() as there:
        port = there.enter_context(PORTS[case["port"]]()) if "port" in case else ""
        spec = case.get("spec", MINIMAL)
        if spec is not None:
            text = spec.replace("PORT", port)
            (folder / "techsapo.yaml").write_bytes(text.encode(case.get("encoding", "utf-8")))
        for name, text in case.get("files", {}).items():
            (folder / name).write_text(text, encoding="utf-8")
        for name in case.get("folders", ()):
            (folder / name).mkdir()
        programs = folder.parent / f"{folder.name}-programs"
        programs.mkdir()
        if "docker" in case:
            docker = programs / "docker"
            docker.write_text(f"#!/bin/sh\necho {shlex.quote(PROGRAMS[case['docker']])} >&2\nexit 1\n")
            docker.chmod(0o755)
        environment = {
            "PATH": str(programs), "HOME": str(folder), "NO_COLOR": "1", "LANG": "C.UTF-8",
            "TECHSAPO_LANG": language, **case.get("env", {}),
        }  # fmt: skip
        words = shlex.split(case["typed"].replace("PORT", port))
        if "stdout" in case:
            output = there.enter_context(STDOUTS[case["stdout"]]())
            argv = [sys.executable, "-m", "techsapo_ops", *words]
            done = warm.run(argv, environment, cwd=folder, text=True, stdout=output)
        else:
            done = techsapo(folder, *words, env=environment)
        told = done.stderr.replace(str(folder), "FOLDER")
        return done.returncode, done.stdout or "", told.replace(port, "PORT") if port else told


@contextmanager
def full() -> Iterator[int]:
    with Path("/dev/full").open("wb") as device:
        yield device.fileno()


@contextmanager
def closed_pipe() -> Iterator[int]:
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


STDOUTS: Mapping[str, Callable[[], AbstractContextManager[int]]] = {
    "a full disk": full,
    "a pipe that nobody reads": closed_pipe,
}


def told(stderr: str) -> dict[str, str]:
    """What was said, by kind: the error's line, the hint's, or what stands in the box of wrong usage."""
    lines = stderr.splitlines()
    found = {}
    for kind, begins in (("error", ("error: ", "エラー: ")), ("hint", ("try: ", "ヒント: "))):
        of_kind = [line.partition(": ")[2] for line in lines if line.startswith(begins)]
        if of_kind:
            found[kind] = "\n".join(of_kind)
    box = " ".join(" ".join(line[1:-1].split()) for line in lines if line.startswith("│"))
    if not found and box:
        found["usage"] = box
    if not found and stderr:
        found["usage"] = stderr.strip().splitlines()[-1]
    return found


@each_row("case", TABLE, ids=lambda case: case["mistake"])
def test_a_mistake_is_told_with_what_to_try(case: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    code, stdout, stderr = typed(case, folder)
    assert "Traceback" not in stderr
    wanted = {kind: case[kind] for kind in ("error", "hint", "usage") if kind in case}
    assert (told(stderr), code) == (wanted, case["code"])
    assert stdout == ""


@each_row("case", [case for case in TABLE if "usage" not in case], ids=lambda case: case["mistake"])
def test_it_is_told_in_japanese_with_the_same_names(case: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / "ここ"
    folder.mkdir()
    code, _, stderr = typed(case, folder, "ja")
    assert code == case["code"]
    said = told(stderr)
    assert said.keys() == {kind for kind in ("error", "hint") if kind in case}
    for kind, words in said.items():
        english = case[kind]
        assert KANA.search(words), words
        for name in {*BY_COMMAND.findall(english), *KEPT.findall(english)}:
            assert name in words
        assert not re.search("[\u3040-\u30ff\u4e00-\u9fff]; ", words), words
