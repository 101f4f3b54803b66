"""Runs commands as other users, each in a process of its own. A program: `python as_another.py`.

Each line that it reads is a JSON object {"uid", "folder", "words"}, with a list of commands in "words", and
gets a line with an array of {"code", "out", "err"}. Before rights are dropped all modules are loaded: the
Python of a test machine may stand where nobody else may read.
"""

from __future__ import annotations

import gc
import json
import os
import pkgutil
import signal
import sys
import tempfile
from contextlib import suppress
from importlib import import_module
from typing import Any

import techsapo_ops
from techsapo_ops.cli.main import main

_SECONDS = 30
_LOUD = {"antigravity", "this", "idlelib", "turtledemo"}
_PACKAGES = {
    *(
        "asyncio",
        "collections",
        "concurrent",
        "email",
        "encodings",
        "html",
        "http",
        "importlib",
        "json",
        "logging",
    ),
    *("multiprocessing", "sqlite3", "urllib", "xml", "xmlrpc", "zoneinfo"),
}


def _load() -> None:
    """All of techsapo_ops, and of the standard library, of which some is imported when it is first used."""
    wanted = [m.name for m in pkgutil.walk_packages(techsapo_ops.__path__, "techsapo_ops.")]
    wanted += sorted(sys.stdlib_module_names - _LOUD)
    packages = [name for name in sys.stdlib_module_names if name in _PACKAGES]
    for name in packages:
        wanted += [m.name for m in pkgutil.iter_modules(import_module(name).__path__, f"{name}.")]
    for name in wanted:
        if not name.endswith("__main__"):
            with suppress(ImportError):  # of another system
                import_module(name)


def _run(words: list[str], folder: str, uid: int) -> dict[str, Any]:
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = os.fork()
        if child == 0:
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            os.chdir(folder)
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            sys.argv = ["techsapo", *words]
            signal.alarm(_SECONDS)
            code = 70
            try:
                main()
                code = 0
            except SystemExit as ended:
                code = ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        _, status = os.waitpid(child, 0)
        said = []
        for file in (out, err):
            file.seek(0)
            said.append(file.read().decode(errors="replace"))
    return {"code": os.waitstatus_to_exitcode(status), "out": said[0], "err": said[1]}


if __name__ == "__main__":
    _load()
    gc.freeze()  # the children share it as it is
    for line in sys.stdin:
        asked = json.loads(line)
        said = [_run(words, asked["folder"], asked["uid"]) for words in asked["words"]]
        print(json.dumps(said), flush=True)
