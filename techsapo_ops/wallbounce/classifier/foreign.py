"""Code that comes from elsewhere and is run here: fetched, decoded, or received."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

from techsapo_ops.catalogue.commands import reading
from techsapo_ops.wallbounce.classifier.judgement import Judgement, Word, hazardous

_RUNNERS = re.compile(
    r"(?:(?:ba|z|da|k|a|fi|c|tc)?sh|python[\d.]*|perl|ruby|node|php|lua|eval|source|\.|exec|xargs|parallel|at|batch|iex)\Z"
)
_DECODES = {
    "base64": r" (?:-\w*[dD]\w*|--decode) ",
    "base32": r" (?:-\w*d\w*|--decode) ",
    "xxd": r" -\w*r",
    "openssl": r" (?:enc|base64) .*?-d ",
    "uudecode": "",
    "rev": "",
    "gpg": r" (?:-d|--decrypt) ",
    "tr": "",
}
_TAKES_INPUT = {
    "crontab": re.compile(r" - "),
    "kubectl": re.compile(r" (?:apply|create|replace) .*?-f ?- "),
    "docker": re.compile(r" load "),
}


def foreign_code(
    words: Sequence[Word], sources: Iterable[Judgement], *, piped: bool = False
) -> Iterator[Judgement]:
    """The danger of a command that runs what its `sources` bring: put into it, or piped into it."""
    if not words:
        return
    name = _name(words[0])
    arguments = f" {' '.join(w.text for w in words[1:])} "
    runs = bool(_RUNNERS.match(name)) and not (piped and _runs_its_own(name, words))
    takes = piped and name in _TAKES_INPUT and bool(_TAKES_INPUT[name].search(arguments))
    named = not words[0].fixed and not piped
    wraps = not piped and any(_RUNNERS.match(_name(w)) for w in words[1:] if w.fixed)
    if not (runs or takes or named or wraps):
        return
    brought = [c for source in sources for c in source.commands if c]
    shown = " ".join(w.text for w in words)
    for command in brought:
        text = " ".join(w.text for w in command)
        whole = f"{text} | {shown}" if piped else shown
        if _name(command[0]) in reading().fetchers:
            yield hazardous("fetch_and_run", whole)
        elif _decodes(command):
            yield hazardous("decode_and_run", whole)


def decoded(commands: Sequence[tuple[Word, ...]]) -> Iterator[str]:
    """What a pipeline has in base64 and decodes."""
    texts = [w.text for c in commands if c and _name(c[0]) in ("echo", "printf") for w in c[1:] if w.fixed]
    if any(c and _name(c[0]) == "base64" and _decodes(c) for c in commands):
        for text in texts:
            with suppress(ValueError):  # what is no base64, or no text, holds no line of shell
                yield base64.b64decode(text, validate=True).decode()


def sends(words: Sequence[Word]) -> bool:
    """Whether a command sends to another host whatever is put into it."""
    return len(words) > 1 and _name(words[0]) == "openssl" and words[1].text == "s_client"


def _runs_its_own(name: str, words: Sequence[Word]) -> bool:
    """Whether an interpreter has code of its own, so that what is piped in is data to it."""
    operands = [w.text for w in words[1:] if not w.text.startswith("-")]
    if name in ("eval", "source", ".", "exec"):
        return True
    if name in ("xargs", "parallel"):
        return not (operands and _RUNNERS.match(operands[0].rsplit("/", 1)[-1]))
    code = any(re.fullmatch(r"-\w*[cem]", w.text) for w in words[1:])
    reads_input = any(w.text in ("-", "-s", "/dev/stdin") for w in words[1:])
    return (code or bool(operands)) and not reads_input


def _decodes(command: Sequence[Word]) -> bool:
    pattern = _DECODES.get(_name(command[0]))
    return pattern is not None and bool(re.search(pattern, f" {' '.join(w.text for w in command[1:])} "))


def fetched_before(commands: Sequence[tuple[Word, ...]]) -> Iterator[Judgement]:
    """The danger of a line that fetches a file and then runs it."""
    fetched: set[str] = set()
    for words in commands:
        if not words:
            continue
        name = _name(words[0])
        if name in ("curl", "wget", "aria2c", "fetch", "scp"):
            fetched |= {
                base for w in words[1:] if (base := w.text.rstrip("/").rsplit("/", 1)[-1]) and base[0] != "-"
            }
            continue
        runs = {name} if "/" in words[0].text else set()
        if _RUNNERS.match(name) or name in ("sudo", "env"):
            runs |= {w.text.rsplit("/", 1)[-1] for w in words[1:] if w.text[:1] != "-"}
        if runs & fetched:
            yield hazardous("fetch_and_run", " ".join(w.text for w in words))


def _name(word: Word) -> str:
    return word.text.rsplit("/", 1)[-1]
