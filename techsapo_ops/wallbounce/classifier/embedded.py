"""What stands within the arguments of a command: lines of shell, and the files that it writes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

_CALLED = re.compile(
    r"""\b(?:system|popen|exec\w*|spawn\w*|check_output|check_call|call|run|shell_exec|passthru)"""
    r"""\s{0,9}\(?\s{0,9}(?:"([^"\n]{2,400})"|'([^'\n]{2,400})')"""
)
_PIPED = re.compile(r""""([^"\n]{2,400})"\s{0,9}\|\s{0,9}getline|\|\s{0,9}"([^"\n]{2,400})\"""")
_PROGRAMS = re.compile(r"(?:[gmn]?awk|python[\d.]*|perl|ruby|node|php)\Z")
_SED_RUNS = re.compile(r"(?:^|[;\n{])\s{0,9}[\d,$]{0,20}e\s+([^;\n]{2,400})")
_SED_WRITES = re.compile(r"(?:^|[;\n{/\d$ ])[wW]\s+(/[^\s;]{1,200})")
_SSH_RUNS = re.compile(r"(?i)(?:Proxy|Local|KnownHosts)Command[= ](.{1,400})")
_OUTPUTS = {
    "sort": ("-o", "--output"),
    "git": ("--output",),
    "curl": ("-o", "--output"),
    "wget": ("-O", "--output-document"),
    "tcpdump": ("-w",),
    "openssl": ("-out",),
    "find": ("-fprint", "-fprintf", "-fls"),
}


def embedded(base: str, arguments: Sequence[str]) -> Iterator[str]:
    """The lines of shell that a command runs by what its arguments say."""
    for text in arguments:
        if _PROGRAMS.match(base):
            yield from (m[1] or m[2] for m in _CALLED.finditer(text))
            yield from (m[1] or m[2] for m in _PIPED.finditer(text))
        elif base == "sed":
            yield from (m[1] for m in _SED_RUNS.finditer(text))
        elif base in ("ssh", "scp", "sftp", "rsync"):
            yield from (m[1] for m in _SSH_RUNS.finditer(text))
        elif base == "tar" and "=exec=" in text:
            yield text.partition("=exec=")[2]


def written_paths(base: str, arguments: Sequence[str]) -> Iterator[str]:
    """The files that a command writes over by its options or operands."""
    if base == "tee":
        yield from (a for a in arguments if not a.startswith("-"))
    elif base == "sed":
        yield from (m[1] for a in arguments for m in _SED_WRITES.finditer(a))
    elif base == "tar":
        yield from _unpacked(arguments)
    for place, text in enumerate(arguments):
        for option in _OUTPUTS.get(base, ()):
            if text == option:
                yield from (a for a in arguments[place + 1 : place + 2] if a != "/dev/null")
            elif text.startswith(f"{option}="):
                yield text[len(option) + 1 :]
            elif len(option) == 2 and text.startswith(f"{option}/") and text != f"{option}/dev/null":
                yield text[2:]


def _unpacked(arguments: Sequence[str]) -> Iterator[str]:
    """Where tar unpacks to; / stands for all of the system."""
    if not any(re.match(r"-?[a-zA-Z]*x|--extract|--get", a) for a in arguments[:3]):
        return
    for place, text in enumerate(arguments):
        into = arguments[place + 1] if text in ("-C", "--directory") and place + 1 < len(arguments) else ""
        into = into or (text.partition("=")[2] if text.startswith("--directory=") else "")
        if into:
            yield into if into.rstrip("/") else "/etc/"
