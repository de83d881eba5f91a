#!/usr/bin/env python3
"""Binarise the titles and labels of a data-bin. Installed as ``item-binarize``."""

import _path  # noqa: F401

from fairseq_item.commands.binarize import cli

if __name__ == "__main__":
    cli()
