"""Shops' own files and public data sets, read as a catalogue: a module per layout, one registry."""
