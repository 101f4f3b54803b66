from __future__ import annotations

import re
from itertools import pairwise

from rows import each_row

from techsapo_ops.adapters.monitoring_server import ApiError
from techsapo_ops.adapters.prometheus import Sample
from techsapo_ops.services.prometheus.snapshot import differences, read_through, readings

HOUR = 3600 * 1000


@each_row(
    "first, end, count",
    [(HOUR, HOUR + 1, 1), (HOUR, 13 * HOUR, 2), (HOUR, 13 * HOUR - 1, 1), (HOUR, 37 * HOUR, 4)],
)
def test_every_moment_of_a_block_is_in_one_window_also_where_its_start_is_left_out(
    first: int, end: int, count: int
) -> None:
    windows = []
    for asked in readings(first, end):
        found = re.search(r"\[(\d+)ms\] @ (\d+\.\d{3})\)", asked)
        assert found is not None
        until = round(float(found[2]) * 1000)
        windows.append((until - int(found[1]), until))
    assert len(windows) == count
    assert windows[0][0] < first, "Prometheus 3 does not read the very start of a window"
    assert windows[-1][1] == end
    assert all(before[1] == after[0] for before, after in pairwise(windows))
    assert all(0 < until - since <= 12 * HOUR for since, until in windows)


class Answering:
    """A Prometheus whose samples all lie in one window, and whose last block is damaged."""

    def __init__(self, loaded: float) -> None:
        self.loaded = loaded

    def query(self, expression: str) -> tuple[Sample, ...]:
        if "@ 72000.000" in expression:
            raise ApiError("http://127.0.0.1:9090: bad chunk")
        return (Sample({}, 3, 0),) if "@ 46799.999" in expression else ()

    def own(self, metric: str) -> float | None:
        assert metric == "prometheus_tsdb_blocks_loaded"
        return self.loaded


def test_a_block_is_read_as_empty_only_where_none_of_its_windows_has_a_sample() -> None:
    def block(first: int, end: int, samples: int = 3) -> dict[str, int]:
        return {"min_time": first * HOUR, "max_time": end * HOUR, "samples": samples}

    blocks = {"a": block(1, 17), "b": block(10, 11), "c": block(10, 11, samples=0), "d": block(19, 20)}
    said = read_through({"blocks": blocks}, Answering(3))
    assert said == [
        "3 blocks can be loaded, not 4",
        "block b is read as empty",
        "block d can't be read: bad chunk",
    ]


def test_one_that_does_not_answer_is_told_and_no_number_made_up() -> None:
    counted = {"time": 72000.0, "series": 1, "scrapes": 1}
    (said,) = differences({"counted": counted}, Answering(1))
    assert said == "it can't be asked what it holds: http://127.0.0.1:9090: bad chunk"
