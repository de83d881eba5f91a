#!/usr/bin/env python3
"""Cut queries out of a catalogue that knows its products. Installed as ``item-queries``."""

import _path  # noqa: F401

from fairseq_item.commands.queries import cli

if __name__ == "__main__":
    cli()
