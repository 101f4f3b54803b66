"""What `techsapo init` asks about alerts: whom they reach, who notices silence, where the pages are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import typer
from pydantic import TypeAdapter, ValidationError

from techsapo_ops.cli.language import spoken
from techsapo_ops.cli.output import write
from techsapo_ops.messages import msg
from techsapo_ops.spec.mail import LIKE, domains
from techsapo_ops.spec.models.base import HostPort
from techsapo_ops.spec.notified import no_url

ReceiverKind = Literal["slack", "email", "webhook", "none"]
_KINDS: tuple[ReceiverKind, ...] = ("slack", "email", "webhook", "none")


@dataclass(frozen=True, slots=True)
class FirstReceivers:
    """The answers. What is secret goes into files of its own, of which the spec names the path."""

    kind: ReceiverKind = "none"
    url: str = field(default="", repr=False)
    """Of an incoming webhook; whoever has it may write there."""
    to: str = ""
    smarthost: str = ""
    username: str = ""
    password: str = field(default="", repr=False)
    watcher: str = field(default="", repr=False)
    """URL that expects a sign of life each minute."""
    public_url: str = ""

    def secrets(self) -> Iterator[tuple[str, str]]:
        """Name and content of each file of a secret."""
        if self.kind in {"slack", "webhook"}:
            yield self.kind, self.url
        if self.kind == "email" and self.username:
            yield "smtp", self.password
        if self.watcher:
            yield "watcher", self.watcher

    def notifications(self, folder: str) -> dict[str, Any]:
        """The spec's section, with secrets in files below `folder`; empty where nobody is told."""
        receiver: dict[str, Any] = {"kind": self.kind}
        if self.kind == "email":
            receiver["to"] = self.to
        elif self.kind != "none":
            receiver["url_file"] = f"{folder}/{self.kind}"
        receivers: dict[str, Any] = {} if self.kind == "none" else {"team": receiver}
        if self.watcher:
            receivers["watcher"] = {"kind": "webhook", "url_file": f"{folder}/watcher"}
        found: dict[str, Any] = {"receivers": receivers} if receivers else {}
        if self.kind != "none":
            found |= {severity: ["team"] for severity in ("critical", "warning", "info")}
        if self.watcher:
            found["watchdog"] = ["watcher"]
        if self.kind == "email":
            found["smtp"] = {"smarthost": self.smarthost, "sender": f"techsapo@{domains(self.to)[0]}"}
            if self.username:
                found["smtp"] |= {"username": self.username, "password_file": f"{folder}/smtp"}
        return found


def ask() -> FirstReceivers:
    """What a person at the terminal answers; Enter takes what is in brackets."""
    write(
        msg("Whom do alerts reach? `techsapo config explain notifications` says how to change it later."),
        stderr=True,
    )
    kind = typer.prompt(f"  {', '.join(_KINDS)}", default="none", err=True, value_proc=_kind)
    found = FirstReceivers(kind)
    if kind in {"slack", "webhook"}:
        what = msg("its incoming webhook's URL") if kind == "slack" else msg("its URL")
        found = replace(found, url=_hidden(what, _required))
    elif kind == "email":
        found = replace(
            found,
            to=typer.prompt(_asked(msg("to")), err=True, value_proc=_people),
            smarthost=typer.prompt(_asked(msg("mail server, HOST:PORT")), err=True, value_proc=_server),
            username=typer.prompt(_asked(msg("account on it")), default="", show_default=False, err=True),
        )
        if found.username:
            found = replace(found, password=_hidden(msg("its password"), _password))
    write(
        msg(
            "Who notices that this host can't tell any more? A watcher elsewhere, which expects "
            "a sign of life each minute (docs/alerts.md)."
        ),
        stderr=True,
    )
    watcher = _hidden(msg("its URL, or Enter for none"), _url)
    write(msg("Where do people open the pages, to which links in messages lead?"), stderr=True)
    public = typer.prompt(
        _asked(msg("e.g. https://ops.example.com, or Enter for this host alone")),
        default="", show_default=False, err=True, value_proc=_url,
    )  # fmt: skip
    return replace(found, watcher=watcher, public_url=public)


def _hidden(text: str, value: Callable[[str], str]) -> str:
    def told(answer: str) -> str:
        try:
            return value(answer)
        except typer.BadParameter as error:  # Click hides the reason with the answer
            write(msg("  {message}", message=error.message), stderr=True)
            raise

    return str(
        typer.prompt(_asked(text), default="", show_default=False, hide_input=True, err=True, value_proc=told)
    )


def _asked(text: str) -> str:
    return f"  {spoken(text)}"


def _kind(text: str) -> str:
    if text not in _KINDS:
        raise typer.BadParameter(msg("write one of {kinds}", kinds=", ".join(_KINDS)))
    return text


def _people(text: str) -> str:
    if not domains(text):
        raise typer.BadParameter(LIKE)
    return text.strip()


def _server(text: str) -> str:
    try:
        return str(TypeAdapter(HostPort).validate_python(text.strip()))
    except ValidationError:
        raise typer.BadParameter(msg("write host and port, e.g. mail.example.com:587")) from None


def _password(text: str) -> str:
    if not text.strip():
        raise typer.BadParameter(msg("an account has a password"))
    return text.strip()


def _url(text: str) -> str:
    if text.strip() and (why := no_url(text)):
        raise typer.BadParameter(msg("that is no URL: {why}", why=why))
    return text.strip()


def _required(text: str) -> str:
    if not text.strip():
        raise typer.BadParameter(msg("without it nobody is told"))
    return _url(text)
