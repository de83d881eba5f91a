#!/usr/bin/env python3
"""Split a catalogue into training, validation and test files. Installed as ``item-split``."""

import _path  # noqa: F401

from fairseq_item.commands.split import cli

if __name__ == "__main__":
    cli()
