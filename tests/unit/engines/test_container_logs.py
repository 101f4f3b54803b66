"""Lines of containers, as the docker client hands them out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import cast

import pytest
from rows import each_row

from techsapo_ops.adapters.container_facts import ContainerFacts
from techsapo_ops.adapters.docker import Docker
from techsapo_ops.adapters.process import Command, Runner
from techsapo_ops.engines.containers import logs
from techsapo_ops.engines.containers.logs import line_of

STAMP = "2026-11-26T21:39:03.234277373Z"
CUT = 16_384
"""Bytes after which Docker cuts a line. Its client then writes the line's time once more (tried with 28)."""


def handed_out(text: str) -> str:
    """`text` as `docker logs --timestamps` shows it."""
    raw = text.encode()
    return "".join(
        f"{STAMP} {raw[n : n + CUT].decode(errors='replace')}" for n in range(0, max(len(raw), 1), CUT)
    )


@each_row("length", [10, CUT, CUT + 1, 3 * CUT, 100_000])
def test_a_line_that_docker_cut_is_whole_again(length: int) -> None:
    text = json.dumps({"level": "info", "message": "x" * length})
    assert line_of("app-1", handed_out(text)).text == text


@each_row("length", [5_500, 20_000])
def test_of_a_cut_character_alone_something_is_lost(length: int) -> None:
    text = json.dumps({"message": "あ" * length}, ensure_ascii=False)
    found = line_of("app-1", handed_out(text)).text
    assert STAMP not in found
    assert set(json.loads(found)["message"]) <= {"あ", "\ufffd"}


class Writing(Docker):
    """A docker client by whose `logs` each container has the lines of `wrote`; it counts who was followed."""

    def __init__(self, wrote: dict[str, list[str]]) -> None:
        super().__init__(cast(Runner, None))
        self.wrote, self.followed = wrote, list[str]()

    def streaming(self, *arguments: str) -> Command:
        """What prints them, and ends as the container does."""
        self.followed.append(arguments[-1])
        return Command(("printf", "%s\n", *self.wrote[arguments[-1]]))


def test_the_container_that_takes_another_ones_place_is_followed_and_no_line_comes_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(logs, "_AGAIN_SECONDS", 0.01)
    later = datetime.now(UTC) + timedelta(minutes=1)
    a, b, c = (f"{later + timedelta(seconds=n):%Y-%m-%dT%H:%M:%S.%f}Z {name}" for n, name in enumerate("abc"))
    docker = Writing({"first": [a, b], "second": [b, c]})

    def there() -> Iterator[dict[str, ContainerFacts]]:
        """It runs, has ended for a while, and has a successor."""
        for name, running in (("first", True), *[("first", False)] * 3, ("second", True)):
            yield {"redis": cast(ContainerFacts, SimpleNamespace(id=name, running=running))}
        while True:
            yield {}

    looks = there()
    found = logs.lines(docker, lambda: next(looks), ["redis"], follow=True, lines=0, since=None)
    assert [next(found).text for _ in range(3)] == ["a", "b", "c"]
    assert docker.followed == ["first", "second"], "what has ended is not read again and again"
