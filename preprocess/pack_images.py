#!/usr/bin/env python3
"""Pack a split's images into an image store. Installed as ``item-pack``."""

import _path  # noqa: F401

from fairseq_item.commands.pack import cli

if __name__ == "__main__":
    cli()
