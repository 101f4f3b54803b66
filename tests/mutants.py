"""Whether the tests notice a change of the code: one operator, constant, condition or call at a time.

    python -m tests.mutants pick --seed 33        # 60 of them, into dist/mutants/picked.json
    python -m tests.mutants judge TREE before     # dist/mutants/before.json, resumable
    python -m tests.mutants judge TREE after
    python -m tests.mutants table                 # both, and what escaped

A mutant is judged by the unit tests of its room, those that name its module first, then by the core labs
and the labs of its capability (tests/cases/mutants.yaml); never by the whole suite. A test that failed counts
when it fails again, and passes without the mutant. `judge` changes one file of TREE, a checkout with a .venv
of its own, and puts it back. `make mutants` does all of it.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import random
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from fnmatch import fnmatch
from pathlib import Path

from techsapo_ops.catalogue.yaml_text import read_yaml

PACKAGE = "techsapo_ops"
STORED = Path("dist/mutants")
TABLE = Path(__file__).parent / "cases" / "mutants.yaml"
LONGEST = 1500
"""Seconds for one run of pytest; a mutant that makes the tests hang counts as caught by the time limit."""
TIME_LIMIT = "time limit"
WAITS = "waits"
"""The verdict on a mutant that no unit test and no core lab noticed, until its labs were asked."""

SWAPPED = {
    ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">", ast.Eq: "!=", ast.NotEq: "==",
    ast.In: "not in", ast.NotIn: "in", ast.Is: "is not", ast.IsNot: "is",
    ast.Add: "-", ast.Sub: "+", ast.Mult: "/", ast.Div: "*", ast.FloorDiv: "*",
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """One change: `before` becomes `after` at this place of a file."""

    file: str
    line: int
    column: int
    before: str
    after: str
    kind: str
    inside: str
    """The function or class around it."""

    @property
    def name(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True)
class Verdict:
    """Who noticed a mutant: `unit`, `core`, `lab`, `nobody`, or WAITS."""

    mutant: str
    by: str
    test: str
    seconds: float


def mutants_of(file: Path, root: Path) -> Iterator[Mutant]:
    """All mutants of one module; texts of messages, docstrings and annotations are left alone."""
    text = file.read_text(encoding="utf-8")
    lines = text.encode().splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    source = text.encode()

    def at(node: ast.expr | ast.stmt, after: str, kind: str, inside: str) -> Mutant:
        end = starts[(node.end_lineno or 1) - 1] + (node.end_col_offset or 0)
        before = source[starts[node.lineno - 1] + node.col_offset : end].decode()
        return Mutant(str(file.relative_to(root)), node.lineno, node.col_offset, before, after, kind, inside)

    def walk(node: ast.AST, inside: str) -> Iterator[Mutant]:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            inside = f"{inside}.{node.name}".lstrip(".")
        for field, value in ast.iter_fields(node):
            if field in {"annotation", "returns", "decorator_list", "keywords" if _is_message(node) else ""}:
                continue
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST) and not (_is_message(node) and isinstance(child, ast.Constant)):
                    yield from walk(child, inside)
        yield from here(node, inside)

    def here(node: ast.AST, inside: str) -> Iterator[Mutant]:
        part = ast.unparse
        match node:
            case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in SWAPPED:
                yield at(node, f"({part(left)} {SWAPPED[type(op)]} {part(right)})", "operator", inside)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in SWAPPED:
                yield at(node, f"({part(left)} {SWAPPED[type(op)]} {part(right)})", "operator", inside)
            case ast.BoolOp(op=op, values=values):
                word = " or " if isinstance(op, ast.And) else " and "
                yield at(node, f"({word.join(part(v) for v in values)})", "operator", inside)
            case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test):
                if part(test) != "TYPE_CHECKING":
                    yield at(test, f"(not ({part(test)}))", "condition", inside)
            case ast.Constant(value=bool(value)):
                yield at(node, str(not value), "constant", inside)
            case ast.Constant(value=int() | float() as value):
                yield at(node, repr(value + 1), "constant", inside)
            case ast.Constant(value=str(value)) if re.fullmatch(r"[a-z0-9_./-]+", value):
                yield at(node, repr(value + "x"), "constant", inside)
            case ast.Expr(value=ast.Call()):
                yield at(node, "None", "call", inside)

    yield from walk(ast.parse(text), "")


def _is_message(node: ast.AST) -> bool:
    called = node.func if isinstance(node, ast.Call) else None
    return isinstance(called, ast.Name) and called.id == "msg"


def pick(count: int, seed: int) -> list[Mutant]:
    """`count` mutants at random from the package, none in a file that the table leaves out."""
    root = Path.cwd()
    left_out = read_yaml(TABLE.read_text(encoding="utf-8"))["left_out"]
    every = [
        mutant
        for file in sorted(Path(root, PACKAGE).rglob("*.py"))
        if not any(fnmatch(str(file.relative_to(root / PACKAGE)), pattern) for pattern in left_out)
        for mutant in mutants_of(file, root)
        if _in_a_string_of_its_own(mutant)
    ]
    print(f"seed {seed}: {count} of {len(every)} mutants")
    return random.Random(seed).sample(every, count)


def _in_a_string_of_its_own(mutant: Mutant) -> bool:
    """Whether the change is one of code: a part of an f-string has no place of its own in Python 3.11."""
    return mutant.kind != "constant" or mutant.before[:1] not in {"f", "{"}


class Judge:
    """Runs the tests of one tree against one mutant after another."""

    def __init__(self, tree: Path) -> None:
        self.tree = tree.resolve()
        self.table = read_yaml(TABLE.read_text(encoding="utf-8"))

    def judge(self, mutant: Mutant, known: str = "", *, labs: bool) -> Verdict:
        """Who notices it: of unit tests and core labs, or of the labs of its capability.

        `known` is a test that noticed it before, which is asked first.
        """
        began = time.monotonic()
        file = self.tree / mutant.file
        whole = file.read_bytes()
        place = _place(whole, mutant)
        self._file, self._whole = file, whole
        self._changed = whole[:place] + mutant.after.encode() + whole[place + len(mutant.before.encode()) :]
        try:
            by, test = self._who(mutant, known, labs=labs)
        finally:
            file.write_bytes(whole)
        return Verdict(mutant.name, by, test, round(time.monotonic() - began))

    def _who(self, mutant: Mutant, known: str, *, labs: bool) -> tuple[str, str]:
        if known and (self.tree / known.partition("::")[0]).is_file():
            test = self._failing([known])
            if test:
                return _kind(test), test
        for by, tests in self._rounds(mutant):
            test = self._failing(tests) if tests and (by == "lab") == labs else ""
            if test:
                return by, test
        return ("nobody" if labs else WAITS), ""

    def _rounds(self, mutant: Mutant) -> Iterator[tuple[str, list[str]]]:
        room = mutant.file.split("/")[1]
        row = next(row for row in self.table["rooms"] if fnmatch(mutant.file.partition("/")[2], row["files"]))
        folders = [self.tree / "tests" / "unit" / name for name in row.get("unit", [room])]
        files = sorted(f for folder in folders for f in folder.rglob("test_*.py"))
        module = mutant.file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        parent, _, name = module.rpartition(".")
        naming = re.compile(rf"{re.escape(module)}\b|from {re.escape(parent)} import [^\n]*\b{name}\b")
        near = [f for f in files if naming.search(f.read_text(encoding="utf-8"))]
        yield "unit", self._names(near)
        yield "unit", self._names(f for f in files if f not in near)
        yield "core", self._names((self.tree / "tests" / "core").glob("test_*.py"))
        yield "lab", self._names(self.tree / path for path in row.get("labs", []))

    def _names(self, files: Iterator[Path] | list[Path]) -> list[str]:
        return [str(file.relative_to(self.tree)) for file in files if file.exists()]

    def _failing(self, tests: list[str]) -> str:
        """The first of these tests that fails twice with the mutant and passes without it; empty for none."""
        left_out: list[str] = []
        for _ in range(4):
            self._file.write_bytes(self._changed)
            failed = self._run(tests, left_out)
            if not failed or failed == TIME_LIMIT:
                return failed
            again = self._run([failed], [])
            self._file.write_bytes(self._whole)
            if again and not self._run([failed], []):
                return failed
            left_out.append(failed)
        return ""

    def _run(self, tests: list[str], without: list[str]) -> str:
        options = [option for test in without for option in ("--deselect", test)]
        argv = [".venv/bin/python", "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *options, *tests]
        with subprocess.Popen(
            argv, cwd=self.tree, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            start_new_session=True,
        ) as process:  # fmt: skip
            try:
                said, _ = process.communicate(timeout=LONGEST)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                return TIME_LIMIT
        if process.returncode == 0:
            return ""
        found = re.search(r"^(?:FAILED|ERROR) (tests/\S+?)(?: - .*)?$", said, re.MULTILINE)
        return found[1] if found else f"pytest ended with {process.returncode}"


def _kind(test: str) -> str:
    folder = test.split("/")[1]
    return {"core": "core", "lab": "lab", "e2e": "lab"}.get(folder, "unit")


def _place(whole: bytes, mutant: Mutant) -> int:
    """Where the text to change begins: the same text nearest to where it was picked.

    Raises LookupError when it is nowhere in the file.
    """
    before = mutant.before.encode()
    picked = sum(len(line) for line in whole.splitlines(keepends=True)[: mutant.line - 1]) + mutant.column
    places = [found.start() for found in re.finditer(re.escape(before), whole)]
    if not places:
        raise LookupError(
            f"{mutant.name} no longer has {mutant.before!r}: pick anew, or judge the older tree"
        )
    return min(places, key=lambda place: abs(place - picked))


def _stored(name: str) -> dict[str, Verdict]:
    file = STORED / f"{name}.json"
    rows = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else []
    return {row["mutant"]: Verdict(**row) for row in rows}


def _picked() -> list[Mutant]:
    return [Mutant(**row) for row in json.loads((STORED / "picked.json").read_text(encoding="utf-8"))]


def _store(name: str, rows: list[Mutant] | list[Verdict]) -> None:
    STORED.mkdir(parents=True, exist_ok=True)
    partial = STORED / f"{name}.partial"
    partial.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n", encoding="utf-8")
    partial.replace(STORED / f"{name}.json")


def _judge(tree: Path, name: str) -> None:
    """All by unit tests and core labs, then the rest by the labs of their capability."""
    judge, verdicts, before = Judge(tree), _stored(name), _stored("before")
    for labs in (False, True):
        for mutant in _picked():
            stored = verdicts.get(mutant.name)
            if stored is None if not labs else stored is not None and stored.by == WAITS:
                known = before[mutant.name].test if mutant.name in before else ""
                verdicts[mutant.name] = done = judge.judge(mutant, known, labs=labs)
                _store(name, list(verdicts.values()))
                print(
                    f"{done.by:7} {done.seconds:5.0f} s  {mutant.name} {mutant.before!r} {done.test}",
                    flush=True,
                )


def _table() -> None:
    before, after = _stored("before"), _stored("after")
    for mutant in _picked():
        first, second = before.get(mutant.name), after.get(mutant.name)
        words = [verdict.by if verdict else "-" for verdict in (first, second)]
        change = f"{mutant.before!r} -> {mutant.after!r}"
        print(f"{words[0]:7} {words[1]:7} {mutant.kind:9} {mutant.name} {change[:90]}")
    for name, verdicts in (("before", before), ("after", after)):
        caught = [verdict for verdict in verdicts.values() if verdict.by not in {"nobody", WAITS}]
        of_test = sum(verdict.by in {"unit", "core"} for verdict in caught)
        print(f"{name}: {len(caught)} of {len(verdicts)} caught, {of_test} of them by `make test`")


def main() -> None:
    """Pick, judge or list."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants")
    commands = parser.add_subparsers(dest="command", required=True)
    picking = commands.add_parser("pick")
    picking.add_argument("count", type=int, nargs="?", default=60)
    picking.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10_000))
    judging = commands.add_parser("judge")
    judging.add_argument("tree", type=Path)
    judging.add_argument("name", choices=("before", "after"))
    commands.add_parser("table")
    given = parser.parse_args()
    match given.command:
        case "pick":
            _store("picked", pick(given.count, given.seed))
        case "judge":
            _judge(given.tree, given.name)
        case _:
            _table()


if __name__ == "__main__":
    main()
