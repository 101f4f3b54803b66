"""How the lab of several machines counts memory: a wrong count would be a wrong figure in the docs."""

from __future__ import annotations

from taken_memory import taken


def mapping(where: str, resident: int, own: int) -> str:
    """As /proc/PID/smaps has it, in kB; `where` is "OFFSET INODE PATH"."""
    offset, inode, path = where.split()
    return (
        f"7f0000000000-7f0000100000 r-xp {offset} fe:00 {inode}        {path}\n"
        f"Size:               1024 kB\nRss:                {resident} kB\nPss:                   1 kB\n"
        f"Anonymous:          {own} kB\nAnonHugePages:         0 kB\nVmFlags: rd ex mr\n"
    )


TEXT = "0001000 4711 /usr/bin/shim"


def test_what_is_a_processs_own_counts_for_each() -> None:
    heap = mapping("00000000 0 [heap]", 40, 40)
    assert taken([("app", heap), ("app", heap), ("nginx", heap)]) == {"app": 80 * 1024, "nginx": 40 * 1024}


def test_a_file_that_several_have_is_there_once_whole_and_what_one_has_changed_of_it_is_its_own() -> None:
    shims = [("shim", mapping(TEXT, 100, 0)), ("shim", mapping(TEXT, 130, 10))]
    found = taken([*shims, ("other", mapping(TEXT, 5, 5))])
    assert found == {"shim": (120 + 10) * 1024, "other": 5 * 1024}
    assert taken(shims, files=False) == {"shim": 10 * 1024}


def test_another_part_of_the_file_is_another_page() -> None:
    more = mapping("0009000 4711 /usr/bin/shim", 8, 0)
    assert taken([("shim", mapping(TEXT, 100, 0) + more)]) == {"shim": 108 * 1024}
