"""The loader: text and variables in, a checked spec or every problem out. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.spec import NO_ENVIRONMENT, PRODUCTION
from techsapo_ops.spec.fields import fields_of, secret_places, sections, value_at
from techsapo_ops.spec.machines import evidence_at
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.models.base import known_home
from techsapo_ops.spec.models.providers import Provider
from techsapo_ops.spec.problems import (
    START,
    Context,
    Finding,
    Mark,
    Path,
    Problem,
    SpecError,
    did_you_mean,
    in_order,
    problem_at,
    shown,
)
from techsapo_ops.spec.reshaped import Locator, Pruned, merge
from techsapo_ops.spec.rules import rules_in
from techsapo_ops.spec.secret import Secret
from techsapo_ops.spec.source import Document, parse
from techsapo_ops.spec.variables import MALFORMED_HINT, Interpolated, interpolate
from techsapo_ops.spec.wording import field_errors, own_words, source_words

__all__ = ["LoadedSpec", "Problem", "SpecError", "load"]

_MAX_ROUNDS = 8


@dataclass(frozen=True, slots=True)
class LoadedSpec:
    """A spec that holds, with the overlay applied and the variables filled in.

    `disabled` maps providers that were left out to the reason; they are gone from `spec.providers`, and in
    `left_out` as far as they can be read.
    """

    spec: Spec
    warnings: tuple[Problem, ...]
    disabled: Mapping[str, str]
    environment: str | None
    filename: str
    position: Callable[[Path], Mark] = lambda _: START
    """Where the file has the value at a path, or the nearest key above it."""
    left_out: Mapping[str, Provider] = field(default_factory=lambda: MappingProxyType({}))


def load(
    text: str,
    env: Mapping[str, str],
    read_secret: Callable[[str], str],
    *,
    filename: str = "techsapo.yaml",
    environment: str | None = None,
    cross_check: bool = True,
) -> LoadedSpec:
    """Load a spec.

    `env` fills `${VAR}`; `read_secret` returns the text of a `*_file` by its path as written in the spec
    and raises OpsError or OSError where it can't; `environment` chooses an overlay.
    `cross_check=False` leaves out the rules across fields, for a part of a spec that was checked as a whole
    (app/techsapo.yaml). Raises SpecError that holds every problem at once.
    """
    document = parse(text, filename)
    return _Loading(document, env, read_secret, filename, environment, cross_check).run()


@dataclass(slots=True)
class _Loading:
    document: Document
    env: Mapping[str, str]
    read_secret: Callable[[str], str]
    filename: str
    environment: str | None
    cross_check: bool
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    invalid: set[Path] = field(default_factory=set)
    hollow: set[Path] = field(default_factory=set)
    """Values that lack a variable of a provider: nothing is wrong with them, but they can't be used."""
    disabled: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, Provider] = field(default_factory=dict)
    locator: Locator = field(init=False)
    mistyped: bool = False
    """The environment that was asked for is not one of the spec: a wrong use, not a wrong spec."""

    def run(self) -> LoadedSpec:
        self.locator = Locator(self.document)
        self.problems += self.document.problems
        filled = interpolate(self.merged(), self.env)
        data = filled.data
        if self.document.bad:
            self.invalid |= {path for path in _paths(data) if self.locator.source(path) in self.document.bad}
        self.empty_sections(data)
        self.variables(filled, data)
        self.secrets(data)
        spec = self.validated(data, filled)
        if spec is not None and self.cross_check:
            self.rules(spec, filled)
        if self.problems:
            raise SpecError(self.problems, self.filename, exit_code=2 if self.mistyped else 1)
        if spec is None:  # every value that is refused left a problem
            raise AssertionError("a spec without problems was not built")
        warnings = in_order(self.warnings, self.filename)
        disabled = MappingProxyType(self.disabled)
        position, left_out = self.locator.value, MappingProxyType(self.left_out)
        return LoadedSpec(spec, warnings, disabled, self.environment, self.filename, position, left_out)

    def problem(
        self, path: Path, message: str, hint: str = "", *, at_key: bool = False, warning: bool = False
    ) -> None:
        mark = self.locator.key(path) if at_key else self.locator.value(path)
        self.at(mark, self.locator.source(path), message, hint, warning=warning)
        if not warning:
            self.invalid.add(path)

    def at(self, mark: Mark, path: Path, message: str, hint: str = "", *, warning: bool = False) -> None:
        problem = problem_at(mark, path, message, hint)
        (self.warnings if warning else self.problems).append(problem)

    def merged(self) -> dict[str, Any]:
        """The data with the chosen overlay merged in; `environments` itself is taken out."""
        base = {key: value for key, value in self.document.data.items() if key != "environments"}
        overlays = self.overlays()
        if self.environment is None or (self.environment == PRODUCTION and PRODUCTION not in overlays):
            return base
        if self.environment not in overlays:
            self.mistyped = True
            names = {*overlays, PRODUCTION}
            self.at(
                self.locator.key(("environments",)),
                (),
                msg("there is no environment {environment}", environment=shown(self.environment)),
                did_you_mean(self.environment, names),
            )
            return base
        return merge(base, overlays[self.environment], ("environments", self.environment), self.locator)

    def overlays(self) -> dict[str, dict[str, Any]]:
        """Every overlay that can be used; all are checked for unknown keys."""
        given = self.document.data.get("environments")
        if given is None:
            return {}
        if not isinstance(given, dict):
            self.problem(
                ("environments",),
                msg("must be `key: value` pairs"),
                msg("write `NAME:` and, below that, the values that differ"),
            )
            return {}
        known = [key for key in fields_of(Spec) if key != "environments"]
        usable = {}
        for name, overlay in given.items():
            path: Path = ("environments", name)
            if name == NO_ENVIRONMENT:
                self.problem(
                    path,
                    msg(
                        "an overlay can't have this name: `-e {name}` means the spec without an overlay",
                        name=name,
                    ),
                    msg("give it another name"),
                    at_key=True,
                )
                continue
            if overlay is not None and not isinstance(overlay, dict):
                self.problem(
                    path,
                    msg("must be `key: value` pairs"),
                    msg("below the overlay's name, write the values that differ"),
                )
                continue
            usable[name] = overlay or {}
            if name == self.environment:
                continue
            for key in usable[name]:
                if key not in known:
                    self.problem((*path, key), msg("unknown key"), did_you_mean(key, known), at_key=True)
        return usable

    def empty_sections(self, data: dict[str, Any]) -> None:
        """Take a section whose lines are all comments (null) for one that is not there."""
        for path, model, section in list(sections(data)):
            for key, shape in fields_of(model).items():
                if section.get(key, "") is not None or not shape.container:
                    continue
                if not shape.nullable:
                    del section[key]
                elif (*path, key) == ("mysql",):
                    self.problem(
                        ("mysql",),
                        msg("is empty, so the stack runs without MySQL"),
                        msg("write `mysql: {{}}` for MySQL with the defaults, or remove the line"),
                        at_key=True,
                        warning=True,
                    )

    def variables(self, filled: Interpolated, data: dict[str, Any]) -> None:
        """Report what interpolation lacked; a provider that lacks a variable is taken out."""
        for path in filled.malformed:
            self.problem(path, msg("contains `${{` without the name of a variable"), MALFORMED_HINT)
        for path, name in filled.unset.items():
            provider = path[1] if path[0] == "providers" and len(path) > 2 else None
            entry = data["providers"].get(provider) if isinstance(data.get("providers"), dict) else None
            if not isinstance(entry, dict):
                hint = msg(
                    "set {name} in the environment or in .env, or write ${{{name}:-default}}", name=name
                )
                self.problem(path, msg("the variable {name} is not set", name=name), hint)
                continue
            self.hollow.add(path)
            if provider in self.disabled:
                continue
            self.disabled[str(provider)] = msg("{name} is not set", name=name)
            if entry.get("enabled") is False:
                continue
            message = msg("the variable {name} is not set", name=name)
            if self.environment == PRODUCTION:
                hint = msg(
                    "environment {production} needs the variable; to leave this provider out, write "
                    "`{provider}: null` in the overlay",
                    production=PRODUCTION,
                    provider=provider,
                )
                self.at(self.locator.value(path), self.locator.source(path), message, hint)
            else:
                self.problem(
                    path,
                    msg("{message}, so provider {provider} is disabled", message=message, provider=provider),
                    msg("set the variable in the environment or in .env"),
                    warning=True,
                )

    def secrets(self, data: dict[str, Any]) -> None:
        """Fill each secret that the spec keeps in a file."""
        for above, model, outer in list(sections(data)):
            for below, section, key in list(secret_places(model, outer)):
                path = (*above, *below)
                where = (*path, f"{key}_file")
                if f"{key}_file" not in section or self.touches(where) or where in self.hollow:
                    continue
                file = section[f"{key}_file"]
                if file is None or (path[:1] == ("providers",) and outer.get("enabled") is False):
                    del section[f"{key}_file"]
                elif section.get(key) is not None:
                    self.problem(
                        where,
                        msg("{key} and {key}_file are both set", key=key),
                        msg("keep either {key} or {key}_file", key=key),
                        at_key=True,
                    )
                elif not isinstance(file, str) or not file:
                    self.problem(
                        where, msg("must be the path of a file"), msg("write the secret into that file")
                    )
                else:
                    self.read(section, key, file, path)

    def read(self, section: dict[str, Any], key: str, file: str, path: Path) -> None:
        where = (*path, f"{key}_file")
        hint = msg("create the file, readable only by you (chmod 600)")
        try:
            known_home(file)
        except ValueError as error:
            self.problem(where, *own_words(error.args[0], file, None))
            return
        try:
            content = self.read_secret(file)
        except OpsError as error:
            self.problem(where, error.message, error.hint or hint)
        except OSError as error:
            if isinstance(error, PermissionError):
                hint = msg(
                    "only the file's owner can read the file: run the command as that user, or as root"
                )
            self.problem(
                where, msg("cannot read {file}: {strerror}", file=shown(file), strerror=error.strerror), hint
            )
        except ValueError:
            self.problem(
                where,
                msg("{file} is not a UTF-8 text file", file=shown(file)),
                msg("write only the secret into the file"),
            )
        else:
            value = content.rstrip("\r\n")
            if value:
                section[key] = Secret(value, file=file)
                del section[f"{key}_file"]
            else:
                self.problem(
                    where,
                    msg("{file} is empty", file=shown(file)),
                    msg("write only the secret into the file"),
                )

    def touches(self, path: Path) -> bool:
        """Whether a value at, above or below `path` is known to be wrong."""
        return any(path[: len(bad)] == bad or bad[: len(path)] == path for bad in self.invalid)

    def validated(self, data: dict[str, Any], filled: Interpolated) -> Spec | None:
        """The spec; where values are refused, what is left of it without them, for the rules to go on."""
        pruned = Pruned(data)
        pruned.remove(*sorted(self.invalid | self.hollow, key=len))
        for _ in range(_MAX_ROUNDS):
            try:
                spec = Spec.model_validate(pruned.data)
            except ValidationError as error:
                variables = {pruned.now(path): names for path, names in filled.variables.items()}
                errors = list(field_errors(error, pruned.data, variables))
                refused = [pruned.original(e.path) for e in errors]
                for path, e in zip(refused, errors, strict=True):
                    if not self.touches(path) and path not in self.hollow:
                        self.problem(path, e.message, e.hint, at_key=e.at_key)
                pruned.remove(*refused)
            else:
                return self.without_disabled(spec)
        return None

    def without_disabled(self, spec: Spec) -> Spec:
        """The spec without disabled providers; in production they stay, since there the lack is an error."""
        update: dict[str, Any] = {"environments": {}}
        if self.cross_check:  # a part of a spec has what the whole one had
            update["schedule"] = spec.schedule.applicable(
                offsite=spec.backup.offsite is not None,
                alerts=spec.monitoring.sends_alerts,
                evidence=evidence_at(spec) if spec.investigate is not None else None,
            )
        if self.disabled and self.environment != PRODUCTION:
            update["providers"] = {n: p for n, p in spec.providers.items() if n not in self.disabled}
            self.left_out = {n: p for n, p in spec.providers.items() if n in self.disabled}
        return spec.model_copy(update=update)

    def rules(self, spec: Spec, filled: Interpolated) -> None:
        """Run every rule; leave out what rests on a value that is wrong itself."""
        context = Context(
            self.environment, self.disabled, self.locator.written, lambda path: value_at(filled.data, path)
        )
        for rule in rules_in(self.environment):
            for finding in rule(spec, context):
                self.finding(finding, filled)

    def finding(self, finding: Finding, filled: Interpolated) -> None:
        read = (finding.path, *finding.uses)
        if any(self.touches(path) for path in read):
            return
        if finding.path and self.locator.source(finding.path) in self.document.lacking:
            return  # it lacks what has a wrong key
        message = finding.message
        for path in read:
            if path in filled.variables:
                message = message.replace(
                    str(value_at(filled.data, path)), source_words(filled.variables[path])
                )
        mark = self.locator.value(finding.path)
        self.at(mark, self.locator.source(finding.path), message, finding.hint, warning=finding.warning)


def _paths(node: object, path: Path = ()) -> Iterator[Path]:
    yield path
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in children:
        yield from _paths(value, (*path, key))
