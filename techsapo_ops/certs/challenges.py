"""Proof that names are ours: a file that nginx serves, or a TXT record that a hook sets."""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from typing_extensions import override

from techsapo_ops.adapters.acme import Proof
from techsapo_ops.adapters.http import Unreachable, fetch
from techsapo_ops.adapters.process import Command, Completed, Runner, split_command
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg

WELL_KNOWN = ".well-known/acme-challenge"
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,256}")
_WRITE = 'umask 022 && mkdir -p "$1" && cat >"$1/$2"'
_REMOVE = 'rm -f "$1"/*'
"""All of them: also those of a run that was killed. One techsapo at a time works on certificates."""
_HOOK_SECONDS = 600.0
_LOOK_SECONDS = 5.0
_LOOK_FOR = 3.0


class Responder(Protocol):
    """Answers one kind of challenge."""

    kind: str

    def place(self, proof: Proof) -> None:
        """Make `proof` visible; again does no harm. Raises OpsError."""
        ...

    def clear(self, proof: Proof) -> None:
        """Take `proof` away; one that is not there is no error. Raises OpsError."""
        ...


class HttpResponder(Responder):
    """http-01: a file in the folder from which nginx answers `/.well-known/acme-challenge/`.

    `run` runs a command as nginx, in whose folder `root` lies: natively and in a container alike. `url` is
    nginx's own address, where each file is fetched before the CA is asked: a failed validation counts
    against the CA's limits, a request from here does not.
    """

    kind = "http-01"

    def __init__(self, run: Callable[[Command], Completed], root: Path, url: str) -> None:
        self._run = run
        self._folder = root / WELL_KNOWN
        self._url = url

    @override
    def place(self, proof: Proof) -> None:
        self._shell(_WRITE, proof.token, proof.value.encode())
        url = f"{self._url}/{WELL_KNOWN}/{proof.token}"
        deadline = time.monotonic() + _LOOK_FOR
        while (wrong := self._look(url, proof)) and time.monotonic() < deadline:
            time.sleep(0.1)
        if wrong:
            raise OpsError(
                msg(
                    "nginx does not serve the challenge file for {proof}: {wrong}",
                    proof=proof.name,
                    wrong=wrong,
                ),
                msg("`techsapo up` updates nginx; the CA was not asked, so its rate limits are not affected"),
            )

    @override
    def clear(self, proof: Proof) -> None:
        self._shell(_REMOVE, proof.token)

    def _look(self, url: str, proof: Proof) -> str:
        try:
            answer = fetch(url, timeout=_LOOK_SECONDS, headers={"Host": proof.name})
        except Unreachable as error:
            return error.reason
        if answer.status != 200:
            return msg("HTTP {status}", status=answer.status)
        return "" if answer.text == proof.value else msg("the content differs")

    def _shell(self, script: str, token: str, stdin: bytes | None = None) -> None:
        if _TOKEN.fullmatch(token) is None:  # it becomes a file name
            raise OpsError(
                msg("the CA's token {token} is not base64url (RFC 8555, 8.3)", token=repr(token[:80]))
            )
        done = self._run(Command(("/bin/sh", "-c", script, "sh", str(self._folder), token), stdin=stdin))
        if done.code != 0:
            raise OpsError(
                msg("cannot write in {folder}: {output}", folder=self._folder, output=done.output[-300:])
            )


class Everywhere(Responder):
    """The same kind of challenge, answered at several places: whichever the CA happens to ask."""

    def __init__(self, responders: Sequence[Responder]) -> None:
        self.kind = responders[0].kind
        self._responders = tuple(responders)

    @override
    def place(self, proof: Proof) -> None:
        for responder in self._responders:
            responder.place(proof)

    @override
    def clear(self, proof: Proof) -> None:
        failures = []
        for responder in self._responders:
            try:
                responder.clear(proof)
            except OpsError as error:  # at the others it is to go all the same
                failures.append(error)
        if failures:
            raise failures[0]


class DnsResponder(Responder):
    """dns-01: `hook set|clear RECORD VALUE` changes the domain's TXT records.

    The hook ends once the record can be seen by the world. A domain and its wildcard share a record, so
    `set` adds a value.
    """

    kind = "dns-01"

    def __init__(self, runner: Runner, hook: str, folder: Path) -> None:
        self._runner = runner
        self._hook = hook
        self._folder = folder

    @override
    def place(self, proof: Proof) -> None:
        self._call("set", proof)

    @override
    def clear(self, proof: Proof) -> None:
        self._call("clear", proof)

    def _call(self, action: str, proof: Proof) -> None:
        record = f"_acme-challenge.{proof.name.removeprefix('*.')}"
        argv = (*split_command(self._hook, "dns_hook"), action, record, proof.value)
        done = self._runner.run(Command(argv, cwd=self._folder), timeout=_HOOK_SECONDS)
        if done.code != 0:
            raise OpsError(
                msg(
                    "dns_hook could not {action} {record} (exit {code}): {output}",
                    action=action,
                    record=record,
                    code=done.code,
                    output=done.output[-500:] or msg("no output"),
                ),
                msg("try it by hand: {argv}", argv=shlex.join(argv)),
            )
