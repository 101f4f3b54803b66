"""A host that never ran the stack goes on with it: after the one whose commands did was lost."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from techsapo_ops.adapters.docker_refusals import Unreached, host_of, plainly
from techsapo_ops.adapters.files import write_atomic
from techsapo_ops.adapters.fleet import Fleet, Member
from techsapo_ops.adapters.folders import STATE_DIRECTORY, keep_out_of_git
from techsapo_ops.adapters.process import Runner, TimedOut
from techsapo_ops.engines.at_work import alone_here
from techsapo_ops.engines.swarm import bundle
from techsapo_ops.engines.swarm.machines_note import noted_machines
from techsapo_ops.engines.swarm.shared_state import SLOTS, SharedState, holder_of
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import joined, msg
from techsapo_ops.operations.apply.spec_files import FOLDER, LACKING, note_seen
from techsapo_ops.spec.models.base import DOCKER_PATTERN, PATTERN_WORDS
from techsapo_ops.spec.problems import shown, unknown
from techsapo_ops.spec.wording import without_login
from techsapo_ops.stack.layout import MACHINES_NOTE

_SECONDS = 30.0
_WAIT = 30.0
_BEFORE = ".before-adopt"
_SPEC = "techsapo.yaml"


@dataclass(frozen=True, slots=True)
class Adopted:
    """What came: the stack's name, the files beside the state directory, those that the spec names and that
    did not travel, and machines whose Docker is reached by a socket of their own.
    """

    project: str
    files: tuple[Path, ...]
    lacking: tuple[str, ...]
    by_socket: tuple[str, ...]


def adopt(
    runner: Runner,
    source: str,
    directory: Path,
    *,
    project: str | None = None,
    force: bool = False,
    say: Callable[[str], None],
) -> Adopted:
    """Bring the spec and the state directory into `directory`, as the machines have them.

    `source` is the way to the Docker of any of them, as the spec has it. Files that are there and differ
    stay, unless `force`: then they are kept beside, as NAME.before-adopt. Raises OpsError where `source` is
    no such way or does not answer, no quorum does, several stacks are there and none is named, or `directory`
    is another stack's; without `force` also where it is nobody's and holds other things, as a home does: what
    comes has names that those machines chose.
    """
    _require_way(source)
    member = Member(runner, "docker", host_of(source), source)
    name = _reached(member, project)
    state = directory / STATE_DIRECTORY
    directory.mkdir(parents=True, exist_ok=True)
    _require_free(directory, name, force=force)
    state.mkdir(mode=0o700, exist_ok=True)
    keep_out_of_git(state)
    with alone_here(state, _WAIT):
        _refresh(runner, source, member, name, state, say)
        files, lacking = _placed(state / FOLDER, directory, force=force)
        note_seen(state)
    machines = noted_machines(state).machines
    by_socket = tuple(m.name for m in machines if m.docker.startswith("unix://") and m.docker != source)
    return Adopted(name, files, lacking, by_socket)


def _require_way(source: str) -> None:
    """Raise OpsError for what a spec may not have either: tcp:// is not encrypted, and is what `b` means."""
    if re.fullmatch(DOCKER_PATTERN, source) is None:
        raise OpsError(
            msg(
                "--from: {wanted}, not {source}",
                wanted=PATTERN_WORDS[DOCKER_PATTERN],
                source=shown(without_login(source)),
            ),
            exit_code=2,
        )


def _reached(member: Member, project: str | None) -> str:
    """The stack that is meant. Raises OpsError where there are several, or none, or nobody answers."""
    other = msg("name a host that answers: `--from ssh://ops@a`")
    try:
        return _chosen(member, project)
    except Unreached as error:
        hint = joined("; ", (error.hint, other)) if error.hint and member.name != member.way else other
        raise OpsError(error.message, hint) from None
    except TimedOut as error:
        refusal = plainly(error.message, member.name, member.way)
        raise OpsError(Unreached(member.name, refusal).message, other) from None


def _require_free(directory: Path, name: str, *, force: bool) -> None:
    state = directory / STATE_DIRECTORY
    there = noted_machines(state)
    if there.machines and there.project != name:
        raise OpsError(
            msg("{directory} is the folder of the stack {project}",
                directory=directory, project=there.project),
            msg("name another folder"),
        )  # fmt: skip
    if not there.machines and (state / "ledger").is_dir():
        raise OpsError(
            msg("{directory} is the folder of a stack on one host", directory=directory),
            msg("name another folder"),
        )
    others = sorted(path.name for path in directory.iterdir() if path.name != STATE_DIRECTORY)
    if others and not there.machines and not (directory / _SPEC).exists() and not force:
        raise OpsError(
            msg(
                "{directory} is no folder of a stack, and holds {first}", directory=directory, first=others[0]
            ),
            msg("name a new folder: `techsapo hosts adopt DIR`; or --force"),
        )


def _chosen(member: Member, project: str | None) -> str:
    """The stack that is meant. Raises OpsError where there are several, or none."""
    form = "{{.Name}}"
    listed = member.call(
        "config", "ls", "--filter", "label=techsapo.note", "--format", form, timeout=_SECONDS
    )
    names = sorted({line.rpartition(".state.")[0] for line in listed.split() if ".state." in line})
    if project is not None and project not in names:
        raise unknown(msg("stack"), project, names)
    if project is None and len(names) != 1:
        raise OpsError(
            msg("the hosts have {count} stacks: {names}", count=len(names), names=", ".join(names))
            if names
            else msg("no techsapo has brought a stack up there"),
            msg("name one with --project") if names else msg("`techsapo up` brings one up"),
        )
    return project or names[0]


def _refresh(
    runner: Runner, source: str, member: Member, name: str, state: Path, say: Callable[[str], None]
) -> None:
    """By the machine that was named; where it was away when the newest was written, by the others."""
    try:
        SharedState(state, name, Fleet(runner, "docker", {source: source}), say).refresh()
    except OpsError:
        others = _others(member, name)
        if not others:
            raise
        SharedState(state, name, Fleet(runner, "docker", others), say).refresh()


def _others(member: Member, name: str) -> Mapping[str, str]:
    """The ways to all machines, by any earlier state that this one has."""
    for slot in range(SLOTS):
        done = member.attempt("cp", f"{holder_of(name)}:/state/state-{slot}.tar", "-", timeout=_SECONDS)
        if done.code != 0:
            continue
        try:
            found = json.loads(bundle.only_file(bundle.only_file(done.stdout), MACHINES_NOTE))
            return {entry["name"]: entry["docker"] for entry in found["machines"]}
        except (KeyError, ValueError, TypeError):
            continue
    return {}


def _placed(copies: Path, directory: Path, *, force: bool) -> tuple[tuple[Path, ...], tuple[str, ...]]:
    """Put the spec and what belongs to it beside the state directory. Raises OpsError for what differs."""
    found = {
        directory / path.relative_to(copies): path.read_bytes()
        for path in sorted(copies.rglob("*"))
        if path.is_file() and path.name != LACKING and path.relative_to(copies).parts[0] != STATE_DIRECTORY
    }
    if not found:
        raise OpsError(
            msg("the state that the hosts have holds no spec"),
            msg("bring techsapo.yaml and its files yourself; the state directory is here"),
        )
    if of_another_kind := [path for path in found if path.exists() and not path.is_file()]:
        raise OpsError(
            msg("{path} is no file, and one is to be there", path=of_another_kind[0]),
            msg("name another folder"),
        )
    differ = [path for path, content in found.items() if path.exists() and path.read_bytes() != content]
    if differ and not force:
        raise OpsError(
            msg("other files are there already: {paths}", paths=", ".join(map(str, differ))),
            msg("--force takes those of the hosts, and keeps these beside as NAME.before-adopt"),
        )
    for path in differ:
        write_atomic(path.with_name(path.name + _BEFORE), path.read_bytes(), 0o600)
    for path, content in found.items():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomic(path, content, 0o600)
    return tuple(found), _lacking(copies / LACKING)


def _lacking(note: Path) -> tuple[str, ...]:
    try:
        value = json.loads(note.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return ()  # it is told, and nothing goes by it
    return tuple(str(each) for each in value) if isinstance(value, list) else ()
