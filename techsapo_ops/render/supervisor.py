"""supervisord.conf of the native engine.

supervisord must be started with the state directory as its working directory, TECHSAPO_STATE in its
environment and in UTF-8 mode (`cd STATE; python -X utf8 -m supervisor.supervisord -n -c …`). The file then
names every folder of the stack relative to it, because supervisor has no way to write some paths: ` ;` and
` #` start a comment anywhere in a value, `%` is expanded once in `directory` and twice in
`stdout_logfile`, and values in `environment` know no escapes. Only the words of `command` are absolute;
they are split as a shell would, so they can be escaped.
"""

from __future__ import annotations

import hashlib
import re
from functools import cache
from pathlib import Path

import techsapo_ops
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.registry import programs
from techsapo_ops.spec.models.base import size_bytes
from techsapo_ops.stack.desired import Program, RenderedFile
from techsapo_ops.stack.templates import Templates, printable
from techsapo_ops.stack.topology import Topology

SUPERVISORD_CONF = "supervisor/supervisord.conf"

HOUSEKEEPING = Path(techsapo_ops.__file__).parent / "engines" / "native" / "housekeeping.py"
_PLAIN = re.compile(r"[A-Za-z0-9@+=:,./_-]")
_UNWRITABLE = re.compile(r"[\x00-\x1f\x7f]")
_COMMENT = re.compile(r"\s[;#]")
_ENVIRONMENT_VALUE = re.compile(r"[A-Za-z0-9@+=:,./_$ -]*")


def launcher_argv(python: str, user: str | None = None) -> tuple[str, ...]:
    """The words before a program's own argv: the native engine's launcher, run without site-packages.

    `-I` keeps the user's environment out of it, and by path rather than by `-m` it needs no import of
    the whole package. The launcher drops to `user` itself: supervisord's `user=` would do it before
    Python starts, and a Python below /root is out of a service user's reach.
    """
    launcher = Path(techsapo_ops.__file__).parent / "engines" / "native" / "launch.py"
    drop = ("--user", user) if user is not None else ()
    return (python, "-I", str(launcher), *drop, "--")


def housekeeping_argv(topology: Topology) -> tuple[str, ...]:
    """The program beside the services that rotates their logs."""
    logs = topology.spec.logs
    return (
        *launcher_argv(topology.host.python),
        topology.host.python,
        "-I",
        str(HOUSEKEEPING),
        str(topology.layout.logs),
        str(size_bytes(logs.max_size)),
        str(logs.keep),
        "yes" if logs.compress else "no",
    )


@cache
def housekeeping_code() -> str:
    """Digest of that program, which is one file: in its environment, `up` starts it anew when it changed."""
    return hashlib.sha256(HOUSEKEEPING.read_bytes()).hexdigest()[:10]


def supervisor_files(topology: Topology, templates: Templates) -> tuple[RenderedFile, ...]:
    """supervisor/supervisord.conf with one program for each native service.

    Programs do not start by themselves: the engine starts them in order, each once what it needs is ready.
    Stopping signals the main process alone (nginx's master tells its workers itself); what is left after
    `stopwaitsecs` is killed as a group. Logs are rotated by a program of their own: supervisord does not
    compress. Raises OpsError for a path that can't be written into the file.
    """
    layout = topology.layout

    def path(value: Path) -> str:
        return supervisor_path(value, layout.state)

    def command(program: Program) -> str:
        words = (*launcher_argv(topology.host.python, program.user), *program.argv)
        return supervisor_command(words)

    content = templates.render(
        "supervisor/supervisord.conf.j2",
        project=topology.spec.project,
        programs=programs(topology),
        socket=layout.supervisor_socket,
        pidfile=layout.run / "supervisord.pid",
        logs=layout.logs,
        root=topology.host.root,
        path=path,
        command=command,
        environment=_environment,
        housekeeping_code=housekeeping_code(),
        housekeeping=supervisor_command(housekeeping_argv(topology)),
    )
    return (RenderedFile(SUPERVISORD_CONF, content, mode=0o600),)


def supervisor_command(words: tuple[str, ...]) -> str:
    """`words` as a `command` value: split by shlex after comments are cut and `%` is expanded.

    Raises OpsError for control characters, which no quoting carries through an ini file.
    """
    return " ".join(_word(word) for word in words)


def _word(word: str) -> str:
    if not word:
        return "''"
    return "".join(_character(character) for character in printable(word))


def _character(character: str) -> str:
    if _PLAIN.fullmatch(character) or character > "\x7f":
        # shlex splits at ASCII blanks only, but configparser strips any blank at the end of a value.
        return f"'{character}'" if character.isspace() else character
    if character == "%":
        return "%%"
    return "' '" if character == " " else f"\\{character}"


def supervisor_path(path: Path, state: Path) -> str:
    """`path` as a value: relative to `state` where it lies below it.

    Raises OpsError for one outside that supervisor would misread.
    """
    if path.is_relative_to(state):
        return str(path.relative_to(state))
    text = str(path)
    if _UNWRITABLE.search(text) or _COMMENT.search(text) or "%" in text or text != text.strip():
        raise OpsError(
            msg("supervisor can't use the path {text}", text=text),
            msg("use a folder without ` ;`, ` #` and %"),
        )
    return text


def _environment(program: Program) -> str:
    values = {"TECHSAPO_SERVICE": program.service, **program.environment}
    for name, value in values.items():
        if not _ENVIRONMENT_VALUE.fullmatch(value):
            raise OpsError(
                msg(
                    "{service}: supervisor can't pass on the environment variable {name}={value}",
                    service=program.service,
                    name=name,
                    value=repr(value),
                )
            )
    return ",".join(f'{name}="{value}"' for name, value in sorted(values.items()))
