"""Docker Swarm beyond what the docker client's own commands give: notes in its store, and Docker's API.

Notes are small, kept by the managers by Raft, and one name can be taken once. They are configs that no
service uses. `docker config create` of a name that is taken fails, so to take one is a compare-and-set that
all managers agree on (https://docs.docker.com/engine/swarm/raft/).

The API is for what must not stand in the arguments of a program. `docker system dial-stdio` connects its
standard input and output with the daemon, also by ssh: the client itself uses it so.
https://docs.docker.com/reference/api/engine/ By HTTP/1.0, whose answer is not cut into chunks and ends with
the connection.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from techsapo_ops.adapters.docker import Docker
from techsapo_ops.adapters.process import Command
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg

_LABEL = "techsapo.note"
_SECONDS = 30.0
_GONE = re.compile(r"(?m)\bconfig (\S+) not found$")
_VERSION = "v1.44"
"""Of Docker 25, the oldest one that we take; later ones know it, too."""


@dataclass(frozen=True, slots=True)
class Note:
    """A note as the managers have it; `created` is by the clock of the manager that took it."""

    id: str
    name: str
    content: Mapping[str, Any]
    created: datetime


def notes(manager: Docker, purpose: str, timeout: float = _SECONDS) -> tuple[Note, ...]:
    """The notes of a purpose, such as `techsapo.lock`, oldest first: those named PURPOSE.NUMBER.

    Each of two calls waits for `timeout` seconds. Raises OpsError where not all of them can be read, also for
    one that is damaged.
    """
    filtered = ("--filter", f"label={_LABEL}={purpose}")
    listed = manager.call("config", "ls", "--quiet", *filtered, timeout=timeout).split()
    return _inspected(manager, purpose, listed, timeout) if listed else ()


def named(manager: Docker, purpose: str, name: str, timeout: float = _SECONDS) -> Note | None:
    """The note of that name; None where there is none. Raises OpsError, also for one that is damaged."""
    notes = _inspected(manager, purpose, [name], timeout)
    return next((note for note in notes if note.name == name), None)


def _inspected(manager: Docker, purpose: str, of: Sequence[str], timeout: float) -> tuple[Note, ...]:
    done = manager.attempt("config", "inspect", *of, timeout=timeout)
    # What could be read is printed all the same; without a leader that is `[]`, as if there were no notes.
    entries = json.loads(done.stdout or b"[]")
    read = {word for entry in entries for word in (entry["ID"], entry["Spec"]["Name"])}
    if not set(of) - read <= _removed(done.stderr.decode(errors="replace")):
        said = manager.words(done)
        raise OpsError(
            msg("techsapo's Swarm configs {purpose} can't be read: {said}", purpose=purpose, said=said)
        )
    ours = re.compile(re.escape(purpose) + r"\.[0-9]{1,12}")
    labelled = [entry for entry in entries if entry["Spec"]["Labels"].get(_LABEL) == purpose]
    notes = [_note(purpose, entry) for entry in labelled if ours.fullmatch(entry["Spec"]["Name"])]
    return tuple(sorted(notes, key=lambda note: (note.created, note.name)))


def number(note: Note) -> int:
    """That in its name."""
    return int(note.name.rpartition(".")[2])


def take(
    manager: Docker, purpose: str, name: str, content: Mapping[str, Any], timeout: float = _SECONDS
) -> bool:
    """Write a note; False where its name is taken. Raises OpsError where no quorum answers."""
    call = Command(
        manager.streaming("config", "create", "--label", f"{_LABEL}={purpose}", name, "-").argv,
        stdin=json.dumps(content).encode(),
    )
    done = manager.runner.run(call, timeout=timeout)
    if done.code == 0:
        return True
    if "already exists" in done.output or "AlreadyExists" in done.output:
        return False
    raise OpsError(msg("the Swarm does not accept a config from techsapo: {said}", said=manager.words(done)))


def remove(manager: Docker, note: Note, timeout: float = _SECONDS) -> bool:
    """Remove a note by its id, since another one may have its name by now; whether that was done."""
    return manager.attempt("config", "rm", note.id, timeout=timeout).code == 0


def manager_time(manager: Docker) -> datetime:
    """What the clock of the manager says that answers."""
    return datetime.fromisoformat(manager.call("info", "--format", "{{.SystemTime}}").strip())


def _removed(said: str) -> set[str]:
    """Ids or names of those that are no more, by what `docker config inspect` says of each:
    "Error response from daemon: config ID not found".
    """
    return set(_GONE.findall(said))


def _note(purpose: str, entry: Mapping[str, Any]) -> Note:
    name = entry["Spec"]["Name"]
    try:
        content = json.loads(base64.b64decode(entry["Spec"].get("Data", "")))
        if isinstance(content, dict):
            return Note(entry["ID"], name, content, datetime.fromisoformat(entry["CreatedAt"]))
    except ValueError:
        pass
    raise OpsError(
        msg(
            "the Swarm config {name}, written by techsapo ({purpose}), is damaged", name=name, purpose=purpose
        ),
        msg(
            "find out who wrote this Swarm config; then remove the config on a manager: `docker config rm "
            "{name}`",
            name=name,
        ),
    )


def get(docker: Docker, path: str, timeout: float) -> Any:
    """What the daemon answers to a question, such as `/nodes`: the value of its JSON, or None.

    Raises OpsError with the daemon's own words.
    """
    return _ask(docker, f"GET /{_VERSION}{path} HTTP/1.0\r\nHost: docker\r\n\r\n".encode(), timeout)


def post(docker: Docker, path: str, value: Mapping[str, Any], timeout: float) -> Any:
    """Send `value` to `path`, such as `/swarm/join`; what the daemon answers, or None.

    Raises OpsError with the daemon's own words, which never hold what was sent.
    """
    body = json.dumps(value).encode()
    head = (
        f"POST /{_VERSION}{path} HTTP/1.0\r\nHost: docker\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return _ask(docker, head.encode() + body, timeout)


def _ask(docker: Docker, request: bytes, timeout: float) -> Any:
    call = Command(docker.streaming("system", "dial-stdio").argv, stdin=request)
    done = docker.runner.run(call, timeout=timeout)
    status, _, rest = done.stdout.partition(b"\r\n")
    words = status.decode(errors="replace").split(" ", 2)
    if len(words) < 2 or not words[0].startswith("HTTP/"):
        raise OpsError(docker.words(done) if done.output else msg("Docker did not answer"))
    body = rest.partition(b"\r\n\r\n")[2]
    try:
        answer = json.loads(body) if body.strip() else None
    except ValueError:
        answer = None
    if not words[1].startswith("2"):
        said = answer.get("message") if isinstance(answer, dict) else None
        raise OpsError(str(said or status.decode(errors="replace")))
    return answer
