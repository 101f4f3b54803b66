"""Whether a host needs a reboot, by the kernels that are installed."""

from __future__ import annotations

from pathlib import Path

from rows import each_row

from techsapo_ops.adapters.packages import reboot_reason

RUNS = "6.12.43+deb13-amd64"


@each_row(
    "installed, told",
    [
        ([RUNS], ""),
        ([], ""),
        ([RUNS, "6.12.48+deb13-amd64"], "and 6.12.48+deb13-amd64 is installed"),
        ([RUNS, "6.12.9+deb13-amd64"], ""),
        ([RUNS, "6.12.48+deb13-cloud-amd64"], ""),
    ],
)
def test_a_newer_kernel_of_the_same_flavour_asks_for_a_reboot(
    tmp_path: Path, installed: list[str], told: str
) -> None:
    for release in installed:
        (tmp_path / f"vmlinuz-{release}").touch()
    found = reboot_reason(tmp_path, tmp_path / "asked", RUNS)
    assert told in found
    assert bool(found) == bool(told)


def test_a_package_that_asks_for_a_reboot_is_named(tmp_path: Path) -> None:
    asked = tmp_path / "reboot-required"
    asked.write_text("*** System restart required ***\n")
    assert "a package asks for a reboot" in reboot_reason(tmp_path / "boot", asked, RUNS)
    (tmp_path / "reboot-required.pkgs").write_text("libc6\nlibc6\ndbus\n")
    assert "dbus, libc6 asks" in reboot_reason(tmp_path / "boot", asked, RUNS)
