"""Keys of a terminal, one by one, as long as a person is looking; the terminal is left as it was."""

from __future__ import annotations

import os
import re
import select
import signal
import sys
import termios
import tty
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

UP, DOWN, HOME, END, PAGE_UP, PAGE_DOWN, ESCAPE, ENTER = (
    "up", "down", "home", "end", "page-up", "page-down", "escape", "enter",
)  # fmt: skip
_SEQUENCES = {
    b"\x1b[A": UP, b"\x1bOA": UP, b"\x1b[B": DOWN, b"\x1bOB": DOWN, b"\x1b[H": HOME, b"\x1bOH": HOME,
    b"\x1b[1~": HOME, b"\x1b[F": END, b"\x1bOF": END, b"\x1b[4~": END, b"\x1b[5~": PAGE_UP,
    b"\x1b[6~": PAGE_DOWN, b"\r": ENTER, b"\n": ENTER,
}  # fmt: skip
_TYPED = re.compile(rb"[^\x1b\r\n]+")
_REST_SECONDS = 0.05
"""How long the rest of a sequence may take after its first byte, which is the key Esc where none comes."""
_MOST = 4096


class Keyboard:
    """Reads keys within a with block, from stdin where that is a terminal; else there are none.

    Whoever is in another thread, and a change of the terminal's size, end a wait by `wake`.
    """

    def __init__(self) -> None:
        self._input: int | None = None
        self._before: list[Any] | None = None
        self._woken, self._wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._resize: Any = None

    def __enter__(self) -> Self:
        # The group of another job would be stopped by its first read, and by changing the terminal.
        with suppress(OSError, ValueError, termios.error):
            number = sys.stdin.fileno()
            if os.isatty(number) and os.tcgetpgrp(number) == os.getpgrp():
                self._before = termios.tcgetattr(number)
                tty.setcbreak(number)  # Ctrl-C stays a signal
                self._input = number
        self._resize = signal.signal(signal.SIGWINCH, lambda *_: self.wake())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        signal.signal(signal.SIGWINCH, self._resize)
        if self._before is not None:
            with suppress(OSError, termios.error):  # the terminal is gone
                termios.tcsetattr(sys.stdin.fileno(), termios.TCSAFLUSH, self._before)

    def __del__(self) -> None:
        # Not before: a thread that still wakes it would write to whatever has the number by then.
        for end in (self._woken, self._wake):
            os.close(end)

    @property
    def there(self) -> bool:
        """Whether there are keys: stdin is a terminal, and nobody has hung it up."""
        return self._input is not None

    def wake(self) -> None:
        """End the wait that goes on, or else the next one."""
        with suppress(OSError):  # full: it is woken anyway
            os.write(self._wake, b"\0")

    def keys(self, seconds: float | None) -> list[str]:
        """Keys that were pressed: letters as they are, others by name.

        It waits for them for `seconds` (None: for ever); there are none where it was woken.
        """
        watched = [self._woken, *([self._input] if self._input is not None else [])]
        ready, _, _ = select.select(watched, (), (), seconds)
        if self._woken in ready:
            with suppress(BlockingIOError):
                os.read(self._woken, _MOST)
        if self._input is None or self._input not in ready:
            return []
        data = self._read()
        if data.endswith((b"\x1b", b"\x1b[", b"\x1bO")) and self._more():
            data += self._read()
        return decoded(data)

    def _more(self) -> bool:
        return self._input is not None and bool(select.select([self._input], (), (), _REST_SECONDS)[0])

    def _read(self) -> bytes:
        assert self._input is not None, "asked for by who has seen it ready"  # noqa: S101 - a mistake of ours
        try:
            data = os.read(self._input, _MOST)
        except OSError:
            data = b""
        if not data:  # hung up: it would be ready for ever
            self._input = None
        return data


def decoded(data: bytes) -> list[str]:
    """Keys in what a terminal sent; sequences that are not known are passed over."""
    found: list[str] = []
    while data:
        if (known := next((s for s in _SEQUENCES if data.startswith(s)), None)) is not None:
            found.append(_SEQUENCES[known])
            data = data[len(known) :]
        elif data[:1] == b"\x1b":
            length = _sequence(data)
            if length == 1:
                found.append(ESCAPE)
            data = data[length:]
        elif (typed := _TYPED.match(data)) is not None:
            found += [character for character in typed[0].decode(errors="ignore") if character.isprintable()]
            data = data[typed.end() :]
    return found


def _sequence(data: bytes) -> int:
    """Bytes of the unknown control sequence that `data` begins with (ECMA-48, 5.4); 1 for Esc alone."""
    if data[1:2] not in (b"[", b"O"):
        return 1
    for number, byte in enumerate(data[2:], 2):
        if 0x40 <= byte <= 0x7E:
            return number + 1
    return len(data)
