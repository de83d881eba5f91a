"""Downloading a catalogue's images: politely, resumably, and from the public internet alone."""
