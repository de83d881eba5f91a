#!/usr/bin/env python3
"""Draw a synthetic catalogue. Installed as ``item-demo``."""

import _path  # noqa: F401

from fairseq_item.commands.demo import cli

if __name__ == "__main__":
    cli()
