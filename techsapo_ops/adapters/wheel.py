"""A wheel of this package as it is installed, made without a build tool or a network.

A wheel is a zip with a folder of metadata: PyPA's "Binary distribution format". The same content gives the
same bytes: names are sorted, and no time is kept.
"""

from __future__ import annotations

import base64
import hashlib
import os
import zipfile
from importlib import metadata
from pathlib import Path

import techsapo_ops
from techsapo_ops import __version__
from techsapo_ops.adapters.build import MOVED, files_of
from techsapo_ops.adapters.packed import cannot_write

DISTRIBUTION = "techsapo-ops"
_STEM = f"techsapo_ops-{__version__}"
NAME = f"{_STEM}-py3-none-any.whl"
_INFO = f"{_STEM}.dist-info"
_LICENCE = "licenses/LICENSE"
_WHEEL = "Wheel-Version: 1.0\nGenerator: techsapo-ops\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
_ENTRY = "[console_scripts]\ntechsapo = techsapo_ops.cli.main:main\n"
_LONG_AGO = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip can hold."""


def write_wheel(folder: Path) -> Path:
    """Write the wheel of this process's package into `folder`; returns its path.

    `pip install --no-deps` takes it, after the lock's packages. Raises OpsError where it can't be written.
    """
    path = folder / NAME
    record = []
    try:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as wheel:
            for name, content in (*_package(), *_metadata()):
                _put(wheel, name, content)
                digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
                record.append(f"{name},sha256={digest},{len(content)}\n")
            _put(wheel, f"{_INFO}/RECORD", "".join([*record, f"{_INFO}/RECORD,,\n"]).encode())
        with path.open("rb") as written:
            os.fsync(written.fileno())
    except OSError as error:
        raise cannot_write(path, error) from None
    return path


def _put(wheel: zipfile.ZipFile, name: str, content: bytes) -> None:
    entry = zipfile.ZipInfo(name, _LONG_AGO)
    entry.external_attr = 0o100644 << 16
    entry.compress_type = zipfile.ZIP_DEFLATED
    wheel.writestr(entry, content)


def _package() -> list[tuple[str, bytes]]:
    """Each file by its name in a wheel, sorted."""
    folder = Path(techsapo_ops.__file__).parent
    return sorted((_inside(folder.name, name), Path(path).read_bytes()) for name, path in files_of(folder))


def _inside(package: str, name: str) -> str:
    for inside, beside in MOVED:
        if name == beside or name.startswith(f"{beside}/"):
            return f"{package}/{inside}{name.removeprefix(beside)}"
    return name


def _metadata() -> list[tuple[str, bytes]]:
    """What a wheel says of itself; of the installed one where that is there, as it is not in an image."""
    about = f"Metadata-Version: 2.4\nName: {DISTRIBUTION}\nVersion: {__version__}\nRequires-Python: >=3.11\n"
    licence = None
    try:
        installed = metadata.distribution(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        pass
    else:
        if installed.version == __version__:
            about = installed.read_text("METADATA") or about
            licence = installed.read_text(_LICENCE)
    files = {"METADATA": about, "WHEEL": _WHEEL, "entry_points.txt": _ENTRY}
    if licence is not None:
        files[_LICENCE] = licence
    return [(f"{_INFO}/{name}", text.encode()) for name, text in sorted(files.items())]
