"""The recovery card on one A4 page, as plain text, with what is typed on a bare machine."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from rich.cells import cell_len as width

from techsapo_ops.adapters.line_breaks import wrapped
from techsapo_ops.adapters.resources import human
from techsapo_ops.adapters.terminal import harmless
from techsapo_ops.backup.card.facts import BEFORE, SSH, Card, ssh_of
from techsapo_ops.catalogue.pages import Words

COLUMNS = 80
LINES = 66
"""Of an A4 page at ten characters an inch and six lines."""
_MOST = 6
"""Names of a list that are printed."""
_NAME = 100
_SHORT = 100
_LONGEST = 300
"""Characters of one value from the spec."""


@dataclass(frozen=True, slots=True)
class Block:
    """A heading with facts by name, or with lines to type."""

    heading: str
    facts: tuple[tuple[str, str], ...] = ()
    steps: tuple[tuple[str, tuple[str, ...]], ...] = ()
    note: str = ""


def blocks(card: Card, locale: str, now: datetime, most: int = _MOST) -> Iterator[Block]:
    """The blocks of the card, from top to bottom."""
    say = Words(locale, "card.yaml")
    typed = commands(card)
    yield Block(
        say("need"),
        (
            (say("repository"), card.repository),
            (say("password"), card.password_kept or say("password_unknown")),
            (say("logins"), _login(card, say)),
            *(
                ((say("variables"), say("variables_kept", names=_some(card.variables, say, most))),)
                if card.variables
                else ()
            ),
            (say("machine"), say("machine_is", room=human(card.room))),
            *(((say("hosts"), say("hosts_are", names=_some(card.hosts, say, most))),) if card.hosts else ()),
            (say("call"), _some(card.contacts, say, most) or say("call_unknown")),
        ),
    )
    yield Block(
        say("steps"),
        steps=tuple(
            (f"{number}. {say(f'step_{name}', version=card.version)}", typed[name])
            for number, name in enumerate(("packages", "logins", "kit", "recover"), 1)
        ),
        note=say("asks"),
    )
    yield Block(
        say("after"),
        (
            (
                say("dns"),
                say("dns_to", names=_some(card.names, say, most)) if card.names else say("dns_none"),
            ),
            (say("ports"), say("separator").join(map(str, card.ports)) or say("ports_none")),
            (say("see"), say("see_is", tool="techsapo", folder=card.directory)),
        ),
    )
    proved = (
        say("proved_is", when=_day(card.proved, now), id=card.proof, time=_time(card.proof_seconds, say))
        if card.proved is not None
        else say("proved_never")
    )
    drilled = (
        ((say("drill"), say("drill_is", when=_day(card.drilled, now), time=_time(card.drill_seconds, say))),)
        if card.drilled is not None
        else ()
    )
    copied = _day(card.copied, now) if card.copied is not None else say("copied_never")
    yield Block(
        say("known"),
        (
            (say("proved"), proved),
            (say("copied"), copied),
            *drilled,
            (say("made"), say("made_is", version=card.version, host=card.host)),
        ),
    )


def text(card: Card, locale: str, now: datetime) -> str:
    """The card as plain text that fits the page. `now` is aware; times are shown in its zone.

    Where the spec has much to say, lines below headings go first, then names of lists, then blank lines.
    """
    lines = list(_lines(card, locale, now, _MOST, ruled=True))
    for most in (_MOST, 3, 1):
        if len(lines) > LINES:
            lines = list(_lines(card, locale, now, most, ruled=False))
    return "\n".join(lines) + "\n"


def _lines(card: Card, locale: str, now: datetime, most: int, *, ruled: bool) -> Iterator[str]:
    say = Words(locale, "card.yaml")
    title, when = say("title", project=card.project), say("printed", when=f"{now:%Y-%m-%d %H:%M}")
    yield title + " " * max(2, COLUMNS - width(title) - width(when)) + when
    yield from wrapped(say("keep"), COLUMNS)
    for block in blocks(card, locale, now, most):
        if most > 1:
            yield ""
        yield block.heading
        if ruled:
            yield "-" * min(width(block.heading), COLUMNS)
        longest = max((width(name) for name, _ in block.facts), default=0)
        for name, value in block.facts:
            value = _line(value, _LONGEST if most > 1 else _SHORT)
            lead = f"{name}{' ' * (longest - width(name))}  "
            for line in wrapped(value, COLUMNS - longest - 2):
                yield lead + line
                lead = " " * (longest + 2)
        for step, typed in block.steps:
            yield from (*wrapped(step, COLUMNS), *(f"  {line}" for line in typed))
        if block.note:
            yield from wrapped(block.note, COLUMNS)


def _login(card: Card, say: Words) -> str:
    if card.logins:
        return say("logins_kept", names=say("separator").join(card.logins))
    kind, colon, _ = card.repository.partition(":")
    if not colon:
        return say("login_disk")
    if kind != "sftp":
        return say("logins_none")
    place, port = ssh_of(card.repository)
    return say("login_ssh", place=say("ssh_port", place=place, port=port) if port else place)


def _some(values: Sequence[str], say: Words, most: int) -> str:
    shown = [_line(value, _NAME) for value in values[:most]]
    if len(values) > most:
        shown.append(say("more", count=len(values) - most))
    return say("separator").join(shown)


def _line(value: str, most: int = _LONGEST) -> str:
    line = " ".join(harmless(value).split())
    return line if len(line) <= most else line[: most - 1] + "…"


def _day(moment: datetime, now: datetime) -> str:
    return f"{moment.astimezone(now.tzinfo):%Y-%m-%d %H:%M}"


def _time(seconds: float, say: Words) -> str:
    return (
        say("seconds", count=round(seconds)) if seconds < 90 else say("minutes", count=f"{seconds / 60:.1f}")
    )


def commands(card: Card) -> dict[str, tuple[str, ...]]:
    """What is typed on a bare machine, by step: `packages`, `logins`, `kit`, `recover`."""
    options = [f"O{number}" for number, _ in enumerate(card.options, 1)]
    with_options = [word for name in options for word in ("-o", f'"${name}"')]
    lock = "requirements-otel.lock" if card.tracing else "requirements.lock"
    venv = "/opt/techsapo"
    return {
        "packages": _installing(card),
        "logins": (
            "set -a",
            *_assigned("R", card.repository),
            "RESTIC_REPOSITORY=$R",
            *_assigned("INTO", card.directory),
            *(
                line
                for name, each in zip(options, card.options.items(), strict=True)
                for line in _assigned(name, "=".join(each))
            ),
            *(
                f"read -r{'s' if name in (*card.secret_logins, 'RESTIC_PASSWORD') else ''}p '{name}: ' {name}"
                for name in (*card.logins, "RESTIC_PASSWORD", *card.variables)
            ),
            "set +a",
        ),
        "kit": (
            *_folded(
                "restic",
                (
                    *with_options,
                    "restore",
                    "latest",
                    "--tag",
                    f"techsapo,project={card.project}",
                    "--include",
                    "recovery-kit",
                    "--target",
                    "/root/kit",
                ),
            ),
            "KIT=$(dirname \"$(find /root/kit -name 'techsapo_ops-*.whl')\")",
            f"python3 -m venv {venv}",
            f"{venv}/bin/pip install --no-deps --require-hashes \\",
            f'  -r "$KIT"/{lock}',
            f'{venv}/bin/pip install --no-deps "$KIT"/techsapo_ops-*.whl',
            f"ln -sf {venv}/bin/techsapo /usr/local/bin/techsapo",  # what it says next begins with its name
        ),
        "recover": (
            *_folded(
                f"{venv}/bin/techsapo recover",
                (
                    *with_options,
                    "--from",
                    '"$RESTIC_REPOSITORY"',
                    "--project",
                    card.project,
                    "--into",
                    '"$INTO"',
                ),
            ),
        ),
    }


def _installing(card: Card) -> tuple[str, ...]:
    first = [package for package in card.packages if package in (*BEFORE, SSH)]
    own = [package for package in card.packages if package not in first]
    if card.from_images:  # Docker's daemon is to run
        return ("apt-get update", *_folded("apt-get install -y", card.packages))
    return (
        # Debian starts what it installs, now and at each boot, on ports that the stack needs.
        "printf '#!/bin/sh\\nexit 101\\n' > /usr/sbin/policy-rc.d",
        "chmod +x /usr/sbin/policy-rc.d",
        *_assigned("P", " ".join(own)),
        "apt-get update",
        f"apt-get install -y {' '.join(first)} $P",
        "dpkg -L $P | sed -n 's,.*/system/\\([^@]*[.]service\\)$,\\1,p' | \\",
        "  xargs -r systemctl disable",
        "rm /usr/sbin/policy-rc.d",
        *((f"useradd -rUM -d /nonexistent -s /usr/sbin/nologin {card.account}",) if card.account else ()),
    )


def _folded(command: str, words: Sequence[str], most: int = 70) -> list[str]:
    """One command on several lines, none of them longer than a page has columns."""
    lines, line = [], command
    for word in words:
        if len(line) + 1 + len(word) > most:
            lines.append(f"{line} \\")
            line = f"  {word}"
        else:
            line = f"{line} {word}"
    return [*lines, line]


def _assigned(name: str, value: str, most: int = 60) -> list[str]:
    """`value` in a variable, in parts that fit a line: nobody copies a line right that breaks anywhere."""
    parts = _parts(value, most)
    before = f"${{{name}}}"  # in braces: a letter behind the bare name would belong to it
    return [f"{name}={before if number else ''}{shlex.quote(part)}" for number, part in enumerate(parts)]


def _parts(value: str, most: int) -> list[str]:
    """`value` in parts of at most `most` characters, which end behind a space where there is one."""
    parts = []
    while len(value) > most:
        at = value.rfind(" ", 0, most) + 1 or most
        parts.append(value[:at])
        value = value[at:]
    return [*parts, value]
