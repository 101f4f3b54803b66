"""A Debian host's package tools, with recorded answers."""

from __future__ import annotations

from dataclasses import dataclass

from techsapo_ops.adapters.process import Command, Completed

# Of Debian 13, apt 3.0.3, recorded on 2026-11-27.
POLICY = """\
base-files:
  Installed: 13.8+deb13u8
  Candidate: 13.8+deb13u8
  Version table:
 *** 13.8+deb13u8 500
        500 http://mirror.example/debian trixie/main amd64 Packages
        100 /var/lib/dpkg/status
curl:
  Installed: 8.14.1-2+deb13u4
  Candidate: 8.14.1-2+deb13u7
  Version table:
     8.14.1-2+deb13u7 500
        500 http://mirror.example/debian trixie/main amd64 Packages
        500 http://mirror.example/debian-security trixie-security/main amd64 Packages
 *** 8.14.1-2+deb13u4 100
        100 /var/lib/dpkg/status
libc6:
  Installed: 2.41-12+deb13u4
  Candidate: 2.41-12+deb13u5
  Version table:
     2.41-12+deb13u5 500
        500 http://mirror.example/debian trixie/main amd64 Packages
 *** 2.41-12+deb13u4 100
        100 /var/lib/dpkg/status
libssl3t64:
  Installed: 3.5.7-1~deb13u2
  Candidate: 3.5.9-1~deb13u1
  Version table:
     3.5.9-1~deb13u1 500
        500 http://mirror.example/debian trixie/main amd64 Packages
     3.5.7-1~deb13u3 500
        500 http://mirror.example/debian-security trixie-security/main amd64 Packages
 *** 3.5.7-1~deb13u2 100
        100 /var/lib/dpkg/status
nginx:
  Installed: 1.26.3-3+deb13u11
  Candidate: 1.26.3-3+deb13u11
  Version table:
 *** 1.26.3-3+deb13u11 500
        500 http://mirror.example/debian-security trixie-security/main amd64 Packages
        100 /var/lib/dpkg/status
     1.26.3-3+deb13u10 500
        500 http://mirror.example/debian trixie/main amd64 Packages
redis-server:
  Installed: 5:8.0.2-3+deb13u3
  Candidate: 5:8.0.2-3+deb13u4
  Version table:
     5:8.0.2-3+deb13u4 500
        500 http://mirror.example/debian trixie/main amd64 Packages
 *** 5:8.0.2-3+deb13u3 100
        100 /var/lib/dpkg/status
"""


@dataclass
class Debian:
    """A Runner that is dpkg-query and apt-cache."""

    policy: str = POLICY
    fails: str = ""
    """The program that ends with an error."""

    def run(self, command: Command, *, timeout: float = 60.0) -> Completed:
        assert 0 < timeout <= 20
        assert command.env == {"LC_ALL": "C.UTF-8"}
        program, option, *rest = command.argv
        if program == self.fails:
            return Completed(command, 100, b"", b"E: The package cache file is corrupted\nE: more\n")
        names = [name for name in rest if not name.startswith("--")]
        if (program, option) == ("apt-cache", "policy"):
            assert names, "without names it tells of its sources"
            return Completed(command, 0, self.policy.encode(), b"")
        assert (program, option, names) == ("dpkg-query", "--show", [])
        installed = [line[:-1] for line in self.policy.splitlines() if not line.startswith(" ")]
        rows = [f"{name} installed" for name in installed]
        return Completed(command, 0, "\n".join([*rows, "left config-files"]).encode(), b"")
