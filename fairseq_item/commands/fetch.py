"""Download the images of a catalogue that has addresses, such as one of item-import.

Into DIR go the images, catalog.tsv with the column image filled, and rejected.tsv with the rows
that have none and why. A run that was killed goes on where it stopped; what failed for a reason
that may pass (a server in trouble, a timeout) is asked for again by the next run.

Each host is asked by few connections at once and with a pause in between, and left alone for as
long as it asks for. Only http and https, and no address inside the own network, are followed,
through redirects too.
"""

from pathlib import Path

import fairseq_item
from fairseq_item.commands.columns import add_columns, columns_of
from fairseq_item.commands.common import Parser, amount, positive, run, say
from fairseq_item.data.catalog import read_catalog
from fairseq_item.errors import InputError
from fairseq_item.fetch.fetch import fetch
from fairseq_item.fetch.schedule import Manners


def parser():
    """The options of ``item-fetch``."""
    p = Parser(__doc__)
    p.add_argument(
        "catalog",
        help="catalogue: .tsv, .csv, .jsonl (also .gz), .parquet or a folder of .parquet files",
    )
    p.add_argument("--out", required=True, metavar="DIR", help="folder to write to")
    p.add_argument(
        "--url-column", default="image_url", metavar="NAME", help="column of the addresses"
    )
    p.add_argument(
        "--connections", type=positive, default=16, metavar="N", help="downloads at once"
    )
    p.add_argument(
        "--per-host", type=positive, default=4, metavar="N", help="downloads from a host at once"
    )
    p.add_argument(
        "--delay", type=amount, default=0.1, metavar="SECONDS",
        help="between the starts of two downloads from one host",
    )  # fmt: skip
    p.add_argument(
        "--attempts", type=positive, default=4, metavar="N",
        help="times that an image is asked for before it is left to the next run",
    )  # fmt: skip
    p.add_argument(
        "--timeout", type=amount, default=10.0, metavar="SECONDS",
        help="for a connection, and for each part of an answer",
    )  # fmt: skip
    p.add_argument(
        "--total-timeout", type=amount, default=60.0, metavar="SECONDS", help="for an image"
    )
    p.add_argument(
        "--max-mib", type=amount, default=32.0, metavar="MIB", help="largest image that is taken"
    )
    p.add_argument(
        "--allow-private", action="store_true",
        help="follow addresses inside the own network, too; never with a catalogue of others",
    )  # fmt: skip
    p.add_argument(
        "--try-rejected", action="store_true", help="ask for what was refused for good, too"
    )
    p.add_argument(
        "--user-agent", default=f"fairseq-item/{fairseq_item.__version__} (item-fetch)",
        metavar="TEXT", help="what servers are told; put in how to reach you",
    )  # fmt: skip
    add_columns(p)
    return p


def main(argv=None):
    args = parser().parse_args(argv)
    if not args.timeout or not args.total_timeout or not args.max_mib:
        raise InputError("--timeout, --total-timeout and --max-mib must be above 0")
    if not args.user_agent.isascii() or not args.user_agent.isprintable():
        raise InputError("--user-agent must be one line of ASCII")
    from fairseq_item.fetch.client import Client

    catalog = read_catalog(args.catalog, columns_of(args), require=("id",))
    client = Client(
        timeout=args.timeout,
        total=args.total_timeout,
        max_bytes=int(args.max_mib * 2**20),
        allow_private=args.allow_private,
        per_host=args.per_host,
        user_agent=args.user_agent,
    )
    manners = Manners(args.connections, args.per_host, args.delay, args.attempts)
    counts = fetch(catalog, args.out, client.get, manners, args.url_column, args.try_rejected)
    out = Path(args.out)
    say(f"{out}: {counts['fetched']} images fetched, {counts['kept']} were there already")
    say(f"{out / 'catalog.tsv'}: {counts['rows']} rows")
    if counts["rejected"]:
        say(f"{out / 'rejected.tsv'}: {counts['rejected']} rows without an image, with reasons")
    if not counts["rows"]:
        raise InputError(f"{args.catalog} has no image that could be had; see {out}/rejected.tsv")


def cli():
    """Console script ``item-fetch``."""
    run(main)


if __name__ == "__main__":
    cli()
