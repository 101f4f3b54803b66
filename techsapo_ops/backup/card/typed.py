"""What is typed on a bare machine to have everything back."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from techsapo_ops.backup.card.facts import BEFORE, SSH, Card


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
