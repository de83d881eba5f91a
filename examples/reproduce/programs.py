"""Running programs, as forks of one process that has imported torch and fairseq already.

Starting Python, torch and fairseq takes longer than most steps of a small table compute.
"""

import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import threading
from pathlib import Path

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["fairseq_cli.train", "fairseq_item.commands.embed", "measure"])


def call(program, arguments, log):
    """Run a program in a process of its own and wait for it.

    Args:
        program: the Python interpreter; or, to be forked, a Python file, or a module that would
            run as ``python -m``.
        arguments: list of str.
        log: file to which its output is appended.

    Returns:
        int: its exit status; negative: the signal that ended it.
    """
    if program == sys.executable:
        with open(log, "a", encoding="utf-8") as out:
            process = subprocess.Popen([program, *arguments], stdout=out, stderr=out)
        return _wait(process, process.wait)
    start_method = multiprocessing.get_start_method()
    process = SERVER.Process(target=_child, args=(program, arguments, str(log), start_method))
    process.start()
    _wait(process, process.join)
    return process.exitcode


_running, _ending = set(), threading.Event()


def _wait(process, wait):
    """Wait for a process that has just been started; :func:`end_all` ends it, also if it came
    first."""
    _running.add(process)
    if _ending.is_set():
        process.terminate()
    try:
        return wait()
    finally:
        _running.discard(process)


def end_all():
    """End the programs that run, and those that are just being started."""
    _ending.set()
    for process in list(_running):
        process.terminate()


def end_with_parent():
    """Turn a SIGTERM of this process into an exception, so that :func:`end_all` is reached."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def _child(program, arguments, log, start_method):
    # A forked server's children would start their own children, the loaders, from it.
    multiprocessing.set_start_method(start_method, force=True)
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(out, stream)
    sys.argv = [program, *arguments]
    if program.endswith(".py"):
        sys.path.insert(0, str(Path(program).parent))
        runpy.run_path(program, run_name="__main__")
    else:
        runpy.run_module(program, run_name="__main__", alter_sys=True)
