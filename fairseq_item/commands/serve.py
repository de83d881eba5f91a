"""``item-serve``: an index as a search service and page.

    item-serve quickstart/index/features --image-root quickstart/catalog/images

The page takes photos, titles and clicks on answers; programs take /api (described at
/openapi.json). An index that item-index writes anew is taken up without a pause.
"""

import argparse
import os
import signal
import socket
import sys
from pathlib import Path
from threading import Thread

from fairseq_item.commands.common import Parser, add_indexes, fraction, positive, run, say, splits
from fairseq_item.errors import InputError

LOOPBACK = ("127.0.0.1", "::1", "localhost")


def parser() -> Parser:
    """The options of ``item-serve``."""
    p = Parser(__doc__)
    add_indexes(p)
    p.add_argument(
        "--recall",
        type=fraction,
        metavar="R",
        help="search approximately, as item-search --recall does",
    )
    p.add_argument("--checkpoint", metavar="C", help="model; default: the one that made the index")
    p.add_argument(
        "--weights-file",
        metavar="FILE",
        help="state dict of the network whose features the index has; default: where item-features "
        "read it",
    )
    p.add_argument(
        "--data",
        metavar="DATA_BIN",
        help="stored images of the items; default: what was embedded, if it is there",
    )
    p.add_argument(
        "--splits",
        type=splits,
        metavar="SPLIT,...",
        help="of --data, comma-separated; default: train, valid and test",
    )
    p.add_argument("--image-root", metavar="DIR", help="folder or tar of the original images")
    p.add_argument("--host", default="127.0.0.1", help="address to listen at; 0.0.0.0: any")
    p.add_argument("--port", type=_port, default=8000, help="0 takes a free one")
    p.add_argument(
        "--token-file",
        metavar="FILE",
        help="holds a secret that requests must carry: Authorization: Bearer SECRET",
    )
    p.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a further name that a service at 127.0.0.1 may be asked by, as by a proxy",
    )
    p.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    limits = p.add_argument_group("limits")
    limits.add_argument("--threads", type=positive, help="searches at a time; default: the cores")
    limits.add_argument(
        "--waiting", type=positive, default=64, metavar="N", help="searches that may wait"
    )
    limits.add_argument(
        "--timeout", type=positive, default=20, metavar="S", help="seconds a request may take"
    )
    limits.add_argument(
        "--max-upload", type=positive, default=16, metavar="MIB", help="size of a request"
    )
    limits.add_argument(
        "--max-pixels", type=positive, default=50, metavar="MILLIONS", help="of an uploaded image"
    )
    limits.add_argument("--max-answers", type=positive, default=100, metavar="N", help="a query")
    p.add_argument(
        "--poll",
        type=positive,
        default=2,
        metavar="S",
        help="seconds between two looks whether the index was rebuilt; SIGHUP: look now",
    )
    return p


def main(argv=None):
    """Entry point of ``item-serve``."""
    args = parser().parse_args(argv)
    uvicorn = _import_uvicorn()
    token = None if args.token_file is None else read_token(args.token_file)
    threads = args.threads or os.cpu_count() or 1
    listening = _listen(args.host, args.port)
    app = build(args, token, threads)
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=args.timeout,
        limit_concurrency=1000,
    )
    if args.host not in LOOPBACK and token is None:
        say(f"warning: whoever reaches {args.host} can search; consider --token-file")
    host = f"[{args.host}]" if ":" in args.host else args.host
    say(f"Search page: http://{host}:{listening.getsockname()[1]}/  (Ctrl-C ends it)")
    sys.stdout.flush()
    uvicorn.Server(config).run(sockets=[listening])


def build(args, token, threads):
    """The application that the arguments describe."""
    import torch
    from threadpoolctl import threadpool_limits

    from fairseq_item.search.embed import choose_device
    from fairseq_item.serve.app import create_app
    from fairseq_item.serve.engine import Settings
    from fairseq_item.serve.limits import Limits
    from fairseq_item.serve.reload import Served

    # Searches run side by side; each on its share of the cores.
    each = max(1, (os.cpu_count() or 1) // threads)
    torch.set_num_threads(each)
    threadpool_limits(each)
    settings = Settings(
        index=args.index[0],
        more=tuple(args.index[1:]),
        recall=args.recall,
        checkpoint=args.checkpoint,
        weights_file=args.weights_file,
        data=args.data,
        splits=args.splits,
        image_root=args.image_root,
        device=choose_device(args.device),
    )
    limits = Limits(
        upload=args.max_upload << 20,
        pixels=args.max_pixels * 1_000_000,
        answers=args.max_answers,
        seconds=args.timeout,
        threads=threads,
        waiting=args.waiting,
    )
    served = Served(settings)
    say(f"{len(served.engine)} items of {' and '.join(args.index)}")
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, lambda *_: Thread(target=served.check, args=(True,)).start())
    return create_app(served, limits, token, names(args), args.poll)


def names(args):
    """Names that a service of this machine alone may be asked by, None where others reach it."""
    if args.host not in LOOPBACK:
        return None
    return {*LOOPBACK, "[::1]", *map(str.lower, args.allow_host)}


def read_token(path):
    """The secret in a file.

    Raises:
        InputError: the file is not there, or holds less than 16 characters or other than one line.
    """
    try:
        token = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--token-file {path} cannot be read ({error})") from None
    if len(token) < 16 or not token.isascii() or len(token.split()) != 1:
        raise InputError(
            f"--token-file {path} must hold one line of 16 or more plain characters; make one "
            f"with: openssl rand -hex 16 > {path}"
        )
    return token


def _listen(host, port):
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        raise InputError(
            f"cannot listen at {host}:{port} ({error.strerror}); change --port or --host"
        ) from None


def _port(text):
    number = int(text) if text.isdigit() else -1
    if not 0 <= number < 65536:
        raise argparse.ArgumentTypeError(f"'{text}' is not a port, 0 to 65535")
    return number


def _import_uvicorn():
    try:
        import fastapi  # noqa: F401
        import uvicorn
    except ImportError:
        raise InputError(
            "the service needs more packages; run pip install 'fairseq-item[serve]'"
        ) from None
    return uvicorn


def cli():
    """Console script ``item-serve``."""
    run(main)


if __name__ == "__main__":
    cli()
