"""Lets the real tools judge rendered files, in a staging copy, before any of them is written."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from techsapo_ops.adapters.docker import Docker
from techsapo_ops.adapters.process import Command, Completed, Runner
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import joined, msg
from techsapo_ops.services.prometheus.own_rules import FOLDER, OwnRules
from techsapo_ops.services.registry import kinds
from techsapo_ops.spec.problems import Finding
from techsapo_ops.stack.desired import RenderedFile
from techsapo_ops.stack.places import EVERY
from techsapo_ops.stack.topology import Topology
from techsapo_ops.validators.checks import Check, checks

_AT_ONCE = 4
_CONTAINERS = tuple(places.rendered for places in EVERY if places.from_images)


@dataclass(frozen=True, slots=True)
class ValidationProblem:
    """A tool refused a file. `path` is relative to the output folder; `output` is what the tool said."""

    tool: str
    path: str
    output: str


@dataclass(frozen=True, slots=True)
class MissingTool:
    """A tool that is not here, what brings it, and the files that nothing else checks."""

    tool: str
    remedy: str
    unchecked: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ValidationReport:
    """Outcome of one validation; `checked` counts the checks that ran."""

    problems: tuple[ValidationProblem, ...] = ()
    missing: tuple[MissingTool, ...] = ()
    checked: int = 0

    @property
    def ok(self) -> bool:
        """Whether no tool refused a file."""
        return not self.problems


@dataclass(frozen=True, slots=True)
class Staging:
    """A copy of the files for the tools to read: `config` holds it, `prefix` is an empty folder for nginx.

    `root` is the folder of all that, which is cut from what the tools say.
    """

    config: Path
    prefix: Path
    root: str


def check(
    files: Sequence[RenderedFile],
    staging: Staging,
    runner: Runner,
    binaries: Mapping[str, str],
    images: Mapping[str, ToolImage],
) -> ValidationReport:
    """Run every check that applies to `files`, of which `staging` holds a copy that the tools can follow.

    `binaries` gives a tool's path by its name, `images` the image that holds it: the containers' files are
    judged by the tool that will read them, others by the host's where it is there. Tools that are nowhere
    are reported as missing, each with the files that nobody checked. Raises OpsError when one does not end.
    """
    wanted = checks(sorted(file.path for file in files), staging.config, staging.prefix)
    places = _places(wanted, binaries, images)
    absent = [c for c in wanted if c not in places]
    problems: list[ValidationProblem] = []
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        ended = pool.map(lambda c: _run(c, staging, runner, places[c]), places)
        for one, done in zip(places, ended, strict=True):
            if _has_no_compose(one, done) or _is_too_old(done):
                absent.append(one)
            elif not one.passed(done):
                said = done.output.replace(f"{staging.root}/host", "")
                problems.append(
                    ValidationProblem(one.name, one.path, said or msg("exit code {code}", code=done.code))
                )
    return ValidationReport(problems=tuple(problems), missing=_missing(absent), checked=len(places))


def _places(
    wanted: Sequence[Check], binaries: Mapping[str, str], images: Mapping[str, ToolImage]
) -> dict[Check, str | ToolImage]:
    """Where each check runs: the path of its tool, or an image that holds it."""
    places: dict[Check, str | ToolImage] = {}
    for one in wanted:
        host, image = binaries.get(one.tool), images.get(one.tool)
        place = (image or host) if one.path.startswith(_CONTAINERS) else (host or image)
        if place is not None:
            places[one] = place
    return places


def _run(check: Check, staging: Staging, runner: Runner, place: str | ToolImage) -> Completed:
    stdin = (staging.config / check.stdin).read_bytes() if check.stdin is not None else None
    argv = (
        place.argv(check.tool, check.arguments, staging.config, staging.root)
        if isinstance(place, ToolImage)
        else (place, *check.arguments)
    )
    command = Command(argv, stdin=stdin, cwd=staging.config)
    return runner.run(command, timeout=check.timeout)


def _has_no_compose(check: Check, done: Completed) -> bool:
    """Whether this is a docker without the compose plugin: it then takes `compose -f` for its own flag."""
    if check.tool != "docker" or done.code == 0:
        return False
    return "unknown shorthand flag" in done.output or "is not a docker command" in done.output


def _is_too_old(done: Completed) -> bool:
    """Whether this is an nginx before 1.27.3, which knows no `resolve`; images of several hosts have it."""
    return done.code != 0 and 'invalid parameter "resolve" in' in done.output


def _missing(absent: Sequence[Check]) -> tuple[MissingTool, ...]:
    by_tool: dict[str, list[Check]] = {}
    for one in absent:
        by_tool.setdefault(one.name, []).append(one)
    return tuple(
        MissingTool(
            name,
            f"apt-get install {checks[0].package}",
            tuple(sorted({path for one in checks for path in one.reads})),
        )
        for name, checks in by_tool.items()
    )


def require(report: ValidationReport) -> None:
    """Raise OpsError with what the tools said when one of them refused a file."""
    if report.ok:
        return
    said = joined(
        "\n",
        (
            msg("{tool} refuses {path}:\n{indented}", tool=p.tool, path=p.path, indented=_indented(p.output))
            for p in report.problems
        ),
    )
    raise OpsError(
        msg("nothing was written: {said}", said=said),
        msg("fix the value in the spec, or your own template for that file"),
    )


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())


@dataclass(frozen=True, slots=True)
class ToolImage:
    """An image that is here and holds a tool; `docker` is the client's path."""

    docker: str
    reference: str
    program: str | None = None
    """The tool's name in the image, where it is another than on a host."""
    host: str | None = None
    """The daemon, where it is not the client's own."""

    def argv(self, tool: str, arguments: Sequence[str], folder: Path, root: str) -> tuple[str, ...]:
        """The call of `tool` in a throwaway container without a network, in `folder` below `root`.

        It runs as the caller, who owns that folder, and under the same paths.
        """
        daemon = ("--host", self.host) if self.host is not None else ()
        return (
            self.docker, *daemon, "run", "--rm", "--pull", "never", "--network", "none",
            # nginx run by root gives its folders to its workers' user.
            "--user", f"{os.geteuid()}:{os.getegid()}", "--cap-drop", "ALL", "--cap-add", "CHOWN",
            "--security-opt", "no-new-privileges:true", "--volume", f"{root}:{root}",
            "--workdir", str(folder), "--entrypoint", self.program or tool, self.reference, *arguments,
        )  # fmt: skip


def tool_images(topology: Topology, runner: Runner) -> Mapping[str, ToolImage]:
    """The images of `topology` that are here, by the tool that they hold; none where it uses none."""
    binary = topology.host.binaries.get("docker")
    if not topology.places.from_images or binary is None:
        return {}
    wanted = {
        kind.validator: topology.spec.image_of(kind.name, kind.facts.image)
        for kind in kinds()
        if kind.validator is not None and topology.has(kind.name)
    }
    ways = [machine.docker for machine in topology.places.hosts(topology.spec, between=False)]
    # Only a daemon of this host sees the folder that is looked at.
    way = next((way for way in ways if urlsplit(way).scheme in {"", "unix"}), None)
    if way is None:
        return {}
    host = way or None
    try:
        present = Docker(runner, binary, host).image_ids(wanted.values())
    except OpsError:  # no daemon: the host's own tools have to do
        return {}
    return {
        tool.name: ToolImage(binary, name, tool.in_image, host)
        for tool, name in wanted.items()
        if name in present
    }


def refused_rules(
    own: OwnRules, runner: Runner, binaries: Mapping[str, str], images: Mapping[str, ToolImage]
) -> Iterator[Finding]:
    """What is wrong with each file, where promtool is among the `binaries` or in one of the `images`."""
    for name, file in own.files.items():
        with tempfile.TemporaryDirectory(prefix="techsapo-check-") as made:
            root = Path(made).resolve()
            path = root / FOLDER / name
            path.parent.mkdir(parents=True)
            path.write_text(file.text, encoding="utf-8")
            rendered = RenderedFile(f"{FOLDER}/{name}", file.text)
            report = check([rendered], Staging(root, root, str(root)), runner, binaries, images)
        for problem in report.problems:
            said = problem.output.partition("FAILED:")[2] or problem.output
            said = " ".join(said.replace(f"{FOLDER}/{name}:", "").split())
            yield Finding(file.field, msg("promtool refuses {path}: {said}", path=file.path, said=said))
