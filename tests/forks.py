"""Runs commands as forks of one process, which saves each of them the seconds that imports take.

Each is a process of its own, with its own arguments, environment, folder and log. One line of JSON
starts one and is answered with its process id; a line with a process id is answered with its exit
status once it has ended. The server itself computes nothing, so that forking it is safe.
"""

import importlib
import json
import logging
import os
import signal
import sys

# What all need; torch imports its compiler at the first step of any optimiser, in 1.5 seconds.
IMPORTED = ("fairseq_cli.train", "fairseq_cli.validate", "fairseq_cli.hydra_train", "torch._dynamo")


class KillAt(logging.Handler):
    """Ends the process as ``kill -9`` does, as soon as it logs a given text."""

    def __init__(self, text):
        super().__init__()
        self.text = text

    def emit(self, record):
        if self.text in record.getMessage():
            os.kill(os.getpid(), signal.SIGKILL)


def run(module, argv, log, cwd, env, kill_at):
    """The child: run ``module.cli_main()`` or ``module.cli()`` and leave."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    os.chdir(cwd)
    os.environ.update(env)
    sys.argv = [module, *argv]
    if kill_at:
        logging.getLogger("fairseq.logging.progress_bar").addHandler(KillAt(kill_at))
    code = 0
    try:
        command = importlib.import_module(module)
        getattr(command, "cli_main", getattr(command, "cli", None))()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        # As the interpreter would, so that a hook has its say.
        try:
            sys.excepthook(*sys.exc_info())
            code = 1
        except SystemExit as end:
            code = end.code
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)


def main():
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what imports print is no answer
    for module in IMPORTED:
        importlib.import_module(module)
    for line in sys.stdin:
        job = json.loads(line)
        if isinstance(job, int):
            status = os.waitstatus_to_exitcode(os.waitpid(job, 0)[1])
            answers.write(f"{status}\n")
        else:
            child = os.fork()
            if child == 0:
                run(**job)
            answers.write(f"{child}\n")
        answers.flush()
    os._exit(0)  # taking down what torch has built up takes seconds


main()
