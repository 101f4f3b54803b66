"""The course of a drill in a few lines of text, which every reader shows as it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from techsapo_ops.messages import joined, msg

WIDTH = 72
_BARS = " ▁▂▃▄▅▆▇█"


def chart(columns: Sequence[tuple[int, int]], marks: Mapping[str, float], titles: tuple[str, str]) -> str:
    """Bars of what was answered and of what failed, on one scale, over the seconds; below them the `marks`.

    `titles` are the words for both rows. "" where there is nothing to draw.
    """
    if not columns:
        return ""
    step = -(-len(columns) // WIDTH)
    parts = [columns[at : at + step] for at in range(0, len(columns), step)]
    good = [sum(one for one, _ in part) for part in parts]
    bad = [sum(other for _, other in part) for part in parts]
    # The last part may be shorter than the others, and be no fall.
    top = max([1, *good, *bad])
    margin = max(map(len, titles)) + 2
    lines = [
        f"{title:<{margin}}{''.join(_bar(value, top) for value in row)}".rstrip()
        for title, row in zip(titles, (good, bad), strict=True)
    ]
    lines.append(
        msg(
            "{value:<{margin}}{count} {step} s",
            margin=margin,
            value="",
            count="┬" + "─" * (len(parts) - 1),
            step=step,
        )
    )
    lines += [f"{'':<{margin}}{line}" for line in _marks(marks, step, len(parts))]
    return joined("\n", lines)


def _bar(value: int, top: int) -> str:
    return _BARS[0] if not value else _BARS[max(1, round(value / top * (len(_BARS) - 1)))]


def _marks(marks: Mapping[str, float], step: int, width: int) -> Iterator[str]:
    for name, at in sorted(marks.items(), key=lambda mark: mark[1]):
        column = min(max(int(at / step), 0), width - 1)
        yield msg("{column}↑ {name} {at:.1f} s", column=" " * column, name=name, at=at)
