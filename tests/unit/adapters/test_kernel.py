"""Whether a host needs a reboot, by the kernels that are installed."""

from __future__ import annotations

import struct
from pathlib import Path

from rows import each_row

from techsapo_ops.adapters.kernel import reboot_reason

RUNS = ("6.12.43+deb13-amd64", "#1 SMP PREEMPT_DYNAMIC Debian 6.12.43-1 (2025-08-27)")


def kernel(boot: Path, release: str, said: str = "") -> None:
    """An x86 kernel's head with its version, as arch/x86/boot/header.S lays it out; other bytes without."""
    boot.mkdir(exist_ok=True)
    head = bytearray(0x1000)
    if said:
        head[0x202:0x206] = b"HdrS"
        struct.pack_into("<H", head, 0x20E, 0x400)
        text = f"{release} (debian-kernel@lists.debian.org) {said}".encode() + b"\0"
        head[0x600 : 0x600 + len(text)] = text
    (boot / f"vmlinuz-{release}").write_bytes(head)


@each_row(
    "installed, told",
    [
        ([RUNS], ""),
        ([(RUNS[0], "")], ""),
        ([], ""),
        ([RUNS, ("6.12.48+deb13-amd64", "")], "and 6.12.48+deb13-amd64 is installed"),
        ([RUNS, ("6.12.9+deb13-amd64", "")], ""),
        ([RUNS, ("6.12.48+deb13-cloud-amd64", "")], ""),
        ([(RUNS[0], RUNS[1].replace("43-1", "43-2"))], "from before it was updated"),
    ],
)
def test_a_newer_kernel_of_the_same_flavour_or_a_newer_build_of_the_same_asks_for_a_reboot(
    tmp_path: Path, installed: list[tuple[str, str]], told: str
) -> None:
    for release, said in installed:
        kernel(tmp_path / "boot", release, said)
    found = reboot_reason(tmp_path / "boot", tmp_path / "asked", RUNS)
    assert told in found
    assert bool(found) == bool(told)


def test_a_package_that_asks_for_a_reboot_is_named(tmp_path: Path) -> None:
    asked = tmp_path / "reboot-required"
    asked.write_text("*** System restart required ***\n")
    assert "a package asks for a reboot" in reboot_reason(tmp_path / "boot", asked, RUNS)
    (tmp_path / "reboot-required.pkgs").write_text("libc6\nlibc6\ndbus\n")
    assert "dbus, libc6 asks" in reboot_reason(tmp_path / "boot", asked, RUNS)


def test_a_kernel_that_may_not_be_read_or_is_cut_short_says_nothing(tmp_path: Path) -> None:
    boot = tmp_path / "boot"
    boot.mkdir()
    (boot / f"vmlinuz-{RUNS[0]}").write_bytes(b"\0" * 0x202 + b"HdrS" + b"\xff" * 20)
    assert reboot_reason(boot, tmp_path / "asked", RUNS) == ""
    (boot / f"vmlinuz-{RUNS[0]}").unlink()
    (boot / f"vmlinuz-{RUNS[0]}").mkdir()
    assert reboot_reason(boot, tmp_path / "asked", RUNS) == ""
