#!/usr/bin/env python3
"""Learn a catalogue's own BPE vocabulary. Installed as ``item-bpe``."""

import _path  # noqa: F401

from fairseq_item.commands.bpe import cli

if __name__ == "__main__":
    cli()
