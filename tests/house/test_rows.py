"""Rows of a table in one test: none is lost, and none hides another."""

from __future__ import annotations

import pytest
from rows import each_row

pytest_plugins = "pytester"


def ran(pytester: pytest.Pytester, text: str) -> pytest.RunResult:
    """What pytest says of a file of tests; what the rows noted by print is in it."""
    pytester.makepyfile(f"import asyncio, logging, pytest, sys\nfrom rows import each_row\n{text}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
        return pytester.runpytest_inprocess("-s", "-rs", "-p", "no:cacheprovider", no_reraise_ctrlc=True)


def test_each_row_that_fails_is_named_whatever_it_raises_and_the_others_run(
    pytester: pytest.Pytester,
) -> None:
    result = ran(
        pytester,
        """
class Killed(BaseException): ...

@each_row("error", [ValueError, SystemExit, asyncio.CancelledError, Killed, pytest.fail.Exception, None])
def test_it(error):
    print("ran", error and error.__name__)
    if error:
        raise error("x")
""",
    )
    for name in ("ValueError", "SystemExit", "CancelledError", "Killed", "Failed"):
        result.stdout.fnmatch_lines([f"*_ test_it [[]{name}[]] _*"])
    result.stdout.fnmatch_lines(["*ran None*"])
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_what_ends_the_run_ends_it_in_a_row_too(pytester: pytest.Pytester) -> None:
    result = ran(
        pytester,
        """
@each_row("n", [1, 2])
def test_it(n):
    print("ran", n)
    raise KeyboardInterrupt
""",
    )
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.no_fnmatch_line("*ran 2*")


def test_after_a_row_that_was_timed_out_none_is_begun_that_nothing_would_end(
    pytester: pytest.Pytester,
) -> None:
    result = ran(
        pytester,
        """
@each_row("n", [1, 2])
def test_it(n):
    print("ran", n)
    pytest.fail("Timeout (>1.0s) from pytest-timeout.")
""",
    )
    result.stdout.fnmatch_lines(["*_ test_it [[]1[]] _*"])
    result.stdout.no_fnmatch_line("*ran 2*")


def test_a_row_that_is_skipped_hides_no_other_and_is_told_with_the_test(pytester: pytest.Pytester) -> None:
    result = ran(
        pytester,
        """
@each_row("n", [1, 2, 3])
def test_fails(n):
    if n == 1:
        pytest.skip("no one")
    assert n != 3

@each_row("n", [1, 2])
def test_holds(n):
    if n == 1:
        pytest.skip("no one")
    print("ran", n)
""",
    )
    result.stdout.fnmatch_lines(["*ran 2*", "*_ test_fails [[]3[]] _*", "SKIPPED*1: no one"])
    assert result.parseoutcomes()["skipped"] == 1
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_a_row_within_a_row_is_named_by_both(pytester: pytest.Pytester) -> None:
    result = ran(
        pytester,
        """
@each_row("a", "xy")
@each_row("b", [1, 2])
def test_it(a, b):
    assert (a, b) != ("y", 2)
""",
    )
    result.stdout.fnmatch_lines(["*_ test_it [[]y-2[]] _*"])
    assert result.parseoutcomes()["failed"] == 2, "the row, and the test that has it"


def test_a_row_finds_nothing_of_what_the_row_before_logged_or_printed(pytester: pytest.Pytester) -> None:
    result = ran(
        pytester,
        """
@each_row("n", [1, 2])
def test_it(n, caplog, capsys):
    assert (caplog.text, capsys.readouterr().out) == ("", "")
    assert logging.getLogger("x").level == logging.NOTSET
    caplog.set_level(logging.DEBUG, "x")
    logging.getLogger("x").debug("told")
    print("told")
    assert "told" in caplog.text
""",
    )
    result.assert_outcomes(passed=1)


async def asynchronous(n: int) -> None: ...


def generator(n: int):  # type: ignore[no-untyped-def]
    yield


@pytest.mark.parametrize("test", [asynchronous, generator])
def test_what_would_not_run_when_it_is_called_is_refused(test) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(TypeError, match=f"{test.__name__} would not run"):
        each_row("n", [1])(test)


def test_marks_of_a_row_are_refused() -> None:
    with pytest.raises(ValueError, match="row 2 has marks"):
        each_row("n", [1, pytest.param(2, marks=pytest.mark.skip)])
