"""A project: a loaded spec, the folder that it is in, and its files that every user may read."""

from __future__ import annotations

import errno
import os
import shlex
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from techsapo_ops.adapters.files import NotUtf8Error, read_by_all, read_text
from techsapo_ops.adapters.folders import STATE_DIRECTORY
from techsapo_ops.apply.ledger_entry import environment_of
from techsapo_ops.cli.environment import environment_variables, without_plugins
from techsapo_ops.cli.place import SpecLocation, lacking
from techsapo_ops.cli.trusted_project import require_trust, require_trust_in
from techsapo_ops.messages import msg
from techsapo_ops.spec.load import LoadedSpec, load
from techsapo_ops.spec.problems import Mark, Problem, SpecError, problem_at
from techsapo_ops.spec.rules import inside_backups
from techsapo_ops.spec.user_path import user_path
from techsapo_ops.stack.layout import BACKUPS, Layout
from techsapo_ops.stack.state_format import require_format
from techsapo_ops.stack.template_folders import find_overrides

if TYPE_CHECKING:
    from techsapo_ops.render.templates import Templates
    from techsapo_ops.services.prometheus.own_rules import OwnRules
    from techsapo_ops.spec.models import Spec
    from techsapo_ops.spec.problems import Finding
    from techsapo_ops.stack.template_folders import Overrides
    from techsapo_ops.stack.topology import Topology


@dataclass(frozen=True, slots=True)
class Project:
    """A loaded spec and the folder that it is in."""

    path: Path
    loaded: LoadedSpec
    remembered: bool = False
    """Whether its environment is the one that was applied last, because none was named."""

    @property
    def directory(self) -> Path:
        """The folder of the spec; relative paths in the spec start here."""
        return self.path.parent

    @property
    def spec(self) -> Spec:
        """The spec with its overlay applied."""
        return self.loaded.spec

    @property
    def state(self) -> Path:
        """The state directory."""
        return self.directory / STATE_DIRECTORY

    @property
    def layout(self) -> Layout:
        """The stack's directories."""
        return Layout(
            state=self.state,
            config=self.state / "generated",
            spec=self.path,
            environment=self.loaded.environment,
        )

    def check(self, text: str) -> Spec:
        """The spec in `text`, which could take this one's place. Raises SpecError where it could not."""
        loaded = load(
            text, environment_variables(self.directory), read_secret_from(self.directory),
            filename=self.path.name, environment=self.loaded.environment,
        )  # fmt: skip
        return loaded.spec

    @property
    def overrides(self) -> Overrides:
        """The folders of the project's own templates."""
        return find_overrides(self.directory, self.spec.template_overrides)

    @property
    def templates(self) -> Templates:
        """Templates, the project's own first; where `unusable` is something, they raise it when used."""
        from techsapo_ops.render.templates import Templates

        if (unusable := self.unusable) is not None:
            return Templates(unusable=unusable)
        return Templates(self.overrides.folder if self.overrides.is_there else None)

    @property
    def unusable(self) -> SpecError | None:
        """What is wrong with its own templates and rule files; nothing is rendered without them."""
        obstacle = self.overrides.obstacle
        findings = [] if obstacle is None else [obstacle]
        if self.spec.monitoring.rules:
            findings += self.own_rules.faults
        return self.error(*findings)

    @property
    def own_rules(self) -> OwnRules:
        """The files of `monitoring.rules`."""
        from techsapo_ops.services.prometheus.own_rules import read_own_rules  # most specs name none

        return read_own_rules(self.spec, self.directory)

    def override_warnings(self) -> tuple[Problem, ...]:
        """The project's own templates that are not used."""
        return tuple(self._problem(finding) for finding in self.overrides.warnings())

    def error(self, *findings: Finding) -> SpecError | None:
        """The error of `findings` in files that the spec names, if there are any."""
        problems = [self._problem(finding) for finding in findings]
        return SpecError(problems, self.loaded.filename) if problems else None

    def _problem(self, finding: Finding) -> Problem:
        """`finding`, at its place in the spec."""
        problem = problem_at(self.loaded.position(finding.path), finding.path, finding.message, finding.hint)
        return replace(problem, filename=self.loaded.filename)

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """What is to be known of the spec, of files with its secrets, and of the project's own templates."""
        read = (
            Problem(
                1, 1, "", open_file.message, open_file.hint, os.path.relpath(open_file.path, self.directory)
            )
            for open_file in open_files(self.path, self.spec)
        )
        return (*self.loaded.warnings, *read, *self.override_warnings(), *self._lacking())

    def _lacking(self) -> tuple[Problem, ...]:
        """What is not installed here and the spec needs; the image of the app has it."""
        if self.spec.app.tracing is None:
            return ()
        from techsapo_ops.adapters.imports import OTEL_HINT, OTEL_LACKING, has_otel
        from techsapo_ops.spec.watched import TRACING

        if has_otel():
            return ()
        problem = problem_at(
            self.loaded.position(TRACING),
            TRACING,
            msg("processes on this host send no traces: {otel_lacking}", otel_lacking=OTEL_LACKING),
            OTEL_HINT,
        )
        return (replace(problem, filename=self.loaded.filename),)


def require_own_rules(project: Project, topology: Topology | None) -> None:
    """Raise SpecError where promtool refuses one of them; of this host, or in the images of `topology`."""
    if not project.spec.monitoring.rules or project.unusable is not None:  # who renders says the latter
        return
    from techsapo_ops.adapters.process import which
    from techsapo_ops.cli.environment import runner
    from techsapo_ops.validators.check import refused_rules, tool_images

    promtool = which("promtool")
    binaries = {"promtool": promtool} if promtool is not None else {}
    images = tool_images(topology, runner()) if topology is not None else {}
    faults = refused_rules(project.own_rules, runner(), binaries, images)
    if (error := project.error(*faults)) is not None:
        raise error


def read_secret_from(directory: Path) -> Callable[[str], str]:
    """A reader of secret files whose relative paths start at `directory`."""

    def read(path: str) -> str:
        file = user_path(path, directory)
        if not stat.S_ISREG(file.stat().st_mode):  # a pipe that nobody writes to has no end, nor has a device
            raise OSError(errno.EINVAL, msg("this is not a regular file"), str(file))
        return file.read_text(encoding="utf-8")

    return read


def open_project(
    file: Path, environment: str | None = None, *, cross_check: bool = True, trusted: bool = True
) -> Project:
    """Load the spec at `file`.

    Raises OpsError when it is not there or its stack is of another version, UntrustedError where others
    could change it, SpecError when it is wrong. Without `environment` it is the one that was applied last;
    "none" is the spec without an overlay.

    `cross_check=False` is for a rendered part of a spec: the defaults of what it leaves out may not agree
    with what it holds. `trusted=False` is for a part that `up` rendered, which had looked.
    """
    if not file.is_file():
        raise lacking(SpecLocation(file))
    if trusted:
        require_trust(file)
    path = file.resolve()
    state = path.parent / STATE_DIRECTORY
    if cross_check:
        require_format(state)
    remembered = environment is None and cross_check
    environment = environment_of(state if remembered else None, environment)
    variables = dict(environment_variables(path.parent))
    try:
        text = read_text(path, what=msg("spec"))
    except NotUtf8Error as error:
        broken = problem_at(Mark(error.line, error.column), (), msg("the file is not UTF-8"), error.hint)
        raise SpecError((broken,), str(file)) from None
    with without_plugins():
        loaded = load(
            text,
            variables,
            read_secret_from(path.parent),
            filename=str(file),
            environment=environment,
            cross_check=cross_check,
        )
    project = Project(path, loaded, remembered)
    if cross_check and (finding := inside_backups(project.spec, project.directory, state / BACKUPS)):
        problem = problem_at(loaded.position(finding.path), finding.path, finding.message, finding.hint)
        raise SpecError((problem,), loaded.filename)
    if trusted:
        require_trust_in(project.spec, project.directory)
    return project


@dataclass(frozen=True, slots=True)
class OpenFile:
    """One file, its mode, and what is in it."""

    path: Path
    mode: int
    holds: str

    @property
    def message(self) -> str:
        """What is wrong with it."""
        return msg(
            "every user of this host can read this file (mode {mode:04o}), which contains {holds}",
            mode=self.mode,
            holds=self.holds,
        )

    @property
    def hint(self) -> str:
        """What puts it right."""
        shown = os.path.relpath(self.path) if self.path.is_relative_to(Path.cwd()) else str(self.path)
        return f"chmod 600 {shlex.quote(shown)}"


def open_files(spec_file: Path, spec: Spec) -> Iterator[OpenFile]:
    """`.env`, the spec itself where it holds a secret, and the files of secrets that it names."""
    directory = spec_file.parent
    dotenv = directory / ".env"
    if (mode := read_by_all(dotenv)) is not None:
        yield OpenFile(dotenv, mode, msg("variables that may be secret"))
    if (mode := read_by_all(spec_file)) is not None and _written(spec_file):
        yield OpenFile(spec_file, mode, msg("secrets in plain text"))
    from techsapo_ops.spec.redact import secrets_of

    named = {secret.file for secret in secrets_of(spec).values() if secret.file is not None}
    for path in sorted(user_path(each, directory) for each in named):
        if (mode := read_by_all(path)) is not None:
            yield OpenFile(path, mode, msg("a secret that the spec uses"))


def _written(spec_file: Path) -> bool:
    """Whether the spec's text has a secret of any environment."""
    from techsapo_ops.spec.redact import written_secrets
    from techsapo_ops.spec.source import parse

    return bool(written_secrets(parse(read_text(spec_file, what=msg("spec")), spec_file.name).data))
