#!/usr/bin/env python3
"""Make second listings of products as queries. Installed as ``item-relist``."""

import _path  # noqa: F401

from fairseq_item.commands.relist import cli

if __name__ == "__main__":
    cli()
