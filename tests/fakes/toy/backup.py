"""The toy's words: copied, restored as a test in a throwaway toy, and brought back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from techsapo_ops.adapters.packed import PackedReader, PackedWriter
from techsapo_ops.adapters.pipes import Running, pour
from techsapo_ops.adapters.process import Command
from techsapo_ops.stack.backup import BackupKind, Part, Progress, Source, Trial
from techsapo_ops.stack.engine import Scratch
from techsapo_ops.stack.shapes import count, has
from techsapo_ops.stack.stack import Stack
from techsapo_ops.stack.step import Action, Step

_FACTS = has(words=count)


class ToySource:
    kind = "toy"

    def __init__(self, stack: Stack) -> None:
        self._stack = stack

    def take(self, folder: Path, stamp: str, progress: Progress) -> Part:
        began, path = time.monotonic(), folder / f"words-{stamp}.txt.zst"
        read = Command(("cat", str(words_file(self._stack))))
        text = b""
        with (
            Running(self._stack.engine.enter("toy", read), read=True) as cat,
            PackedWriter(path, progress) as file,
        ):
            while data := cat.read(10):
                file.write(data)
                text += data
            cat.finish()
        return Part(
            self.kind, path.name, file.bytes, file.raw_bytes, file.sha256,
            round(time.monotonic() - began, 3), "Toy 1", {"words": len(text.split())},
        )  # fmt: skip


class ToyBackup(BackupKind):
    name = "toy"
    title = "the toy's words"
    restarts = True
    throwaway = "toy"

    def sources(self, stack: Stack) -> Sequence[Source] | str:
        return [ToySource(stack)] if stack.topology.has("toy") else "this stack has no toy"

    def fits(self, facts: Mapping[str, Any]) -> bool:
        return _FACTS(facts)

    def describe(self, part: Part) -> str:
        return f"{part.facts['words']} words"

    def check(self, stack: Stack, part: Part, reader: PackedReader) -> list[str]:
        found = len(b"".join(reader).split())
        return [] if found == part.facts["words"] else [f"it holds {found} words"]

    def trial(self, stack: Stack, part: Part, reader: PackedReader, progress: Progress) -> Trial:
        began = time.monotonic()
        with self.restored(stack, part, reader, progress) as scratch:
            at = scratch.address
            ask = f"import urllib.request as r; print(r.urlopen('http://{at}/words').read().decode())"
            done = scratch.run(Command(("python3", "-c", ask)))
        return Trial(_wrong(part, len(done.stdout.split())), time.monotonic() - began)

    @contextmanager
    def restored(
        self, stack: Stack, part: Part, reader: PackedReader, progress: Progress
    ) -> Iterator[Scratch]:
        with stack.engine.scratch("toy", seed=_seed(reader)) as scratch:
            yield scratch

    def present(self, stack: Stack, part: Part) -> tuple[str, str]:
        return "Toy 1", f"{_kept(stack)} words"

    def bring_back(self, stack: Stack, part: Part, reader: PackedReader, progress: Progress) -> None:
        stack.engine.halt("toy")
        put = Command(("sh", "-c", 'cat > "$1"', "sh", str(words_file(stack))))
        with Running(stack.engine.beside("toy", put), feed=True) as shell:
            pour(reader, shell, progress)
            shell.finish()
        Step(Action.RESTART, "toy", "it was restored").perform(stack.engine)

    def differences(self, stack: Stack, part: Part) -> list[str]:
        return _wrong(part, _kept(stack))


def words_file(stack: Stack) -> Path:
    return stack.topology.data_dir(stack.topology.of_kind("toy")[0]) / "words.txt"


def _kept(stack: Stack) -> int:
    asked = stack.engine.enter("toy", Command(("cat", str(words_file(stack)))))
    return len(stack.runner.run(asked, timeout=10).stdout.split())


def _wrong(part: Part, found: int) -> list[str]:
    return [] if found == part.facts["words"] else [f"there are {found} words, not {part.facts['words']}"]


def _seed(reader: PackedReader) -> Callable[[Path], None]:
    def seed(folder: Path) -> None:
        (folder / "words.txt").write_bytes(b"".join(reader))

    return seed


BACKUP = ToyBackup()
