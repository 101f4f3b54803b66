"""Several questions at once: what is done with each way in which one can end, or not end."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from techsapo_ops.adapters.questions import at_once, each_of

ASKS = """
import os, signal, threading
from techsapo_ops.adapters.questions import at_once, each_of

never, asked = threading.Event(), threading.Semaphore(0)

def hangs():
    asked.release()
    never.wait()

def interrupts():
    asked.acquire()
    os.kill(os.getpid(), signal.SIGINT)
    never.wait()

"""


def ended(program: str) -> subprocess.CompletedProcess[str]:
    """How a process that asks ends. Raises TimeoutExpired where something holds it."""
    return subprocess.run(
        [sys.executable, "-c", ASKS + program], capture_output=True, text=True, timeout=30, check=False
    )


def test_each_answer_is_under_its_name_in_the_order_of_the_questions() -> None:
    first_may_end = threading.Event()

    def first() -> int:
        first_may_end.wait(30)
        return 1

    def second() -> int:
        first_may_end.set()
        return 2

    assert list(each_of({"first": first, "second": second}).items()) == [("first", 1), ("second", 2)]
    assert each_of({}) == {}


def test_what_one_raised_is_raised_once_all_have_ended() -> None:
    ends = []

    def fails() -> None:
        raise LookupError("of this one")

    with pytest.raises(LookupError, match="of this one"):
        each_of({"fails": fails, "answers": lambda: ends.append("ended")})
    assert ends == ["ended"]


def test_an_exception_that_is_an_answer_is_one() -> None:
    why = LookupError("does not answer")
    assert each_of({"away": lambda: why}) == {"away": why}


def test_no_more_are_asked_at_a_time_than_there_are_places() -> None:
    both, lock, running, most = threading.Barrier(2), threading.Lock(), 0, 0

    def question() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        both.wait(30)  # passed by two at a time: that many run
        with lock:
            running -= 1

    each_of({str(number): question for number in range(6)}, places=2)
    assert most == 2


def test_after_the_deadline_a_question_counts_as_unanswered_and_the_others_hold() -> None:
    never = threading.Event()

    def fails() -> str:
        raise LookupError

    answers = at_once({"hangs": never.wait, "answers": lambda: "well", "fails": fails}, 0.2)
    never.set()
    assert isinstance(answers["hangs"], TimeoutError)
    assert "0.2 s" in str(answers["hangs"])
    assert answers["answers"] == "well"
    assert isinstance(answers["fails"], LookupError)


def test_questions_that_hang_do_not_hold_the_end_of_who_no_longer_waits() -> None:
    done = ended("""
at_once({"": lambda: each_of({"a": hangs, "b": hangs})}, 0.05)
asked.acquire(), asked.acquire()
print("ends")
""")
    assert (done.returncode, done.stdout, done.stderr) == (0, "ends\n", "")


def test_ctrl_c_ends_the_wait_and_the_process() -> None:
    done = ended("""
try:
    each_of({"hangs": hangs, "interrupts": interrupts})
except KeyboardInterrupt:
    print("stopped")
""")
    assert (done.returncode, done.stdout, done.stderr) == (0, "stopped\n", "")
