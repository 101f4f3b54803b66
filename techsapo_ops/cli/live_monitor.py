"""`monit` on a terminal: readings, the log and a restart each in their own time, and keys at once."""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Any, Protocol

from rich.console import Group

from techsapo_ops.cli import keyboard
from techsapo_ops.cli.keyboard import Keyboard
from techsapo_ops.cli.signals import interruptible
from techsapo_ops.cli.views.monitor import Board, drawn
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg

if TYPE_CHECKING:
    from rich.console import Console

    from techsapo_ops.operations.watch.usage import Reading
    from techsapo_ops.stack.observed import LogLine

_LOG_LINES = 200
_LOG_SECONDS = 1.0
_QUIT = ("q", "Q")
_MOVES = {keyboard.UP: -1, "k": -1, keyboard.DOWN: 1, "j": 1, keyboard.PAGE_UP: -10, keyboard.PAGE_DOWN: 10,
          keyboard.HOME: -10_000, keyboard.END: 10_000, "g": -10_000, "G": 10_000}  # fmt: skip


class Source(Protocol):
    """What is looked at. Every method may raise OpsError."""

    def read(self) -> tuple[Reading, ...]:
        """One reading of every service."""
        ...

    def log(self, service: str, lines: int) -> Sequence[LogLine]:
        """The last lines of a service's log."""
        ...

    def restart(self, service: str) -> None:
        """Restart a service; returns when it is ready."""
        ...


class LiveMonitor:
    """Shows `source` on `console`, read each `interval` seconds, until q or Ctrl-C.

    The terminal is left as it was, also after a signal or a fault. A restart that is under way is waited for:
    half of one would leave the service stopped.
    """

    def __init__(
        self, source: Source, console: Console, interval: float, readings: tuple[Reading, ...] = ()
    ) -> None:
        self._source = source
        self._console = console
        self._interval = interval
        self._board = Board().with_readings(readings)
        self._lock = Lock()
        self._ended = Event()
        self._log_wanted = Event()
        self._wake: Callable[[], None] = lambda: None
        self._fault: BaseException | None = None
        self._restart: Thread | None = None

    def run(self) -> None:
        """Show it. Raises KeyboardInterrupt after a signal, and whatever a reading failed of but OpsError."""
        workers = [
            Thread(target=self._guarded, args=(each,), daemon=True) for each in (self._read, self._follow)
        ]
        for worker in workers:
            worker.start()
        try:
            with interruptible():
                while self._show():
                    # Ctrl-Z. The terminal is as it was; the shell goes on when this process stops.
                    os.kill(os.getpid(), signal.SIGSTOP)
        except OSError as error:
            if error.errno != errno.EIO:  # hung up: nobody looks any more
                raise
        finally:
            self._ended.set()
            self._log_wanted.set()
            self._wake = lambda: None
            self._wait_for_restart()
        if self._fault is not None:
            raise self._fault

    def _show(self) -> bool:
        """Show it until the person ends it (False), or puts it aside (True)."""
        from rich.live import Live

        aside = Event()
        shown: object = None

        def put_aside(*_: Any) -> None:
            aside.set()
            keys.wake()

        with Keyboard() as keys:
            before = signal.signal(signal.SIGTSTP, put_aside)
            self._wake = keys.wake
            try:
                with Live(console=self._console, auto_refresh=False, screen=True) as live:
                    while not aside.is_set():
                        with self._lock:
                            self._board = replace(self._board, keys=keys.there)
                            board = self._board
                        size = self._console.size
                        lines = drawn(board, *size)
                        if (lines, size) != shown:  # what is the same is not written again: nothing blinks
                            live.update(Group(*lines), refresh=True)
                            shown = lines, size
                        for key in keys.keys(None):
                            if self._pressed(key):
                                return False
                        if self._fault is not None:
                            return False
            finally:
                self._wake = lambda: None
                signal.signal(signal.SIGTSTP, before)
        return True

    def _pressed(self, key: str) -> bool:
        """Do what a key stands for; True where it ends the whole."""
        with self._lock:
            board, self._board = self._board, replace(self._board, asked="", help=False)
            if board.asked:
                if key in ("y", "Y"):
                    self._begin_restart(board.asked)
                return False
            if board.help:
                return False
            if key in _QUIT:
                return True
            if key in _MOVES:
                self._change(self._board.moved(_MOVES[key]))
            elif key in ("l", "L", keyboard.ENTER):
                self._change(replace(self._board, log=not board.log, lines=()))
            elif key == keyboard.ESCAPE:
                self._change(replace(self._board, log=False, told="", lines=()))
            elif key in ("r", "R") and board.readings:
                busy = self._restart is not None and self._restart.is_alive()
                self._change(self._board if busy else replace(self._board, asked=board.chosen))
            elif key in ("?", "h"):
                self._change(replace(self._board, help=True))
        return False

    def _change(self, board: Board) -> None:
        self._board = board
        if board.log:
            self._log_wanted.set()

    def _begin_restart(self, service: str) -> None:
        self._board = replace(self._board, told=msg("restarting {service} …", service=service), grave=False)
        self._restart = Thread(target=self._guarded, args=(lambda: self._restarted(service),))
        self._restart.start()

    def _restarted(self, service: str) -> None:
        began = time.monotonic()
        try:
            self._source.restart(service)
            told, grave = (
                msg(
                    "{service} was restarted in {seconds:.1f} s",
                    service=service,
                    seconds=time.monotonic() - began,
                ),
                False,
            )
        except OpsError as error:
            told, grave = error.message, True
        self._tell(partial(replace, told=told, grave=grave))

    def _wait_for_restart(self) -> None:
        if self._restart is not None and self._restart.is_alive():
            from techsapo_ops.cli.output import Output

            with suppress(OSError):
                Output().say(msg("waiting until the restart has ended"))
            self._restart.join()

    def _read(self) -> None:
        failed = False
        while not self._ended.wait(self._interval):
            try:
                readings = self._source.read()
            except OpsError as error:
                # Shown with what was known: it may be away for a moment, as Docker while it is updated.
                told, failed = error.message, True
                self._tell(partial(replace, told=told, grave=True))
                continue
            self._tell(partial(Board.with_readings, readings=readings))
            if failed:
                failed = False
                self._tell(partial(replace, told="", grave=False))

    def _follow(self) -> None:
        while not self._ended.is_set():
            self._log_wanted.wait(_LOG_SECONDS)
            self._log_wanted.clear()
            with self._lock:
                service = self._board.chosen if self._board.log else ""
            if not service:
                continue
            try:
                lines = tuple(self._source.log(service, _LOG_LINES))
            except OpsError:  # it has no log yet
                lines = ()
            with self._lock:
                same = self._board.chosen != service or self._board.lines == lines
            if not same:
                self._tell(partial(_with_log, service=service, lines=lines))

    def _tell(self, change: Callable[[Board], Board]) -> None:
        with self._lock:
            self._board = change(self._board)
        self._wake()

    def _guarded(self, work: Callable[[], None]) -> None:
        """Do `work`; what goes wrong is shown as ever, once the terminal is what it was."""
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - raised again by `run`
            self._fault = error
            self._wake()


def _with_log(board: Board, service: str, lines: tuple[LogLine, ...]) -> Board:
    """With these lines, unless another service was chosen meanwhile."""
    return replace(board, lines=lines) if board.chosen == service else board
