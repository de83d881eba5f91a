"""The unfinished part of an image store, kept so that a killed run can go on where it stopped."""

import hashlib
import json
import logging
import os
from array import array
from dataclasses import asdict, dataclass, field
from pathlib import Path

logger = logging.getLogger(__name__)


@dataclass
class Chunk:
    """What became of consecutive rows of a catalogue.

    Attributes:
        rows: number of rows.
        sizes: bytes of each stored item, in row order.
        rejected: pairs of a row's place in the chunk and the reason it was not stored.
        sha256: digest of the stored items, one after another.
    """

    rows: int
    sizes: list = field(default_factory=list)
    rejected: list = field(default_factory=list)
    sha256: str = ""

    def decisions(self):
        """For each row the reason it was rejected, or None where it was stored."""
        reasons = dict(self.rejected)
        return [reasons.get(row) for row in range(self.rows)]


def journal_of(data):
    """Where the journal of a data file lies."""
    return data.with_name(data.name + ".journal")


def discard_journal(data):
    """Remove a data file and its journal, as far as they are there."""
    data.unlink(missing_ok=True)
    journal_of(data).unlink(missing_ok=True)


class PackJournal:
    """Appends chunks to a data file, and to a journal what each chunk holds.

    The journal's line is written after the data it describes and carries their digest, so
    whatever a kill leaves behind, the chunks that can be proved whole are found again and the
    rest is cut off. The journal's first line is the fingerprint of what is being packed.

    Args:
        data: path of the data file.
        fingerprint: digest of everything the bytes depend on.

    Attributes:
        rows: catalogue rows done so far.
        sizes: bytes of each item stored so far.
        digest: SHA-256 object over the data so far.
    """

    def __init__(self, data, fingerprint):
        self.data = Path(data)
        self.path = journal_of(self.data)
        self.data.parent.mkdir(parents=True, exist_ok=True)
        self.rows = 0
        self.sizes = array("i")
        self.digest = hashlib.sha256()
        if not self._resume(fingerprint):
            self.path.write_text(json.dumps({"fingerprint": fingerprint}) + "\n", encoding="utf-8")
            self.data.write_bytes(b"")
        self._data = open(self.data, "ab")  # noqa: SIM115  (for close())
        self._journal = open(self.path, "ab")  # noqa: SIM115

    def _resume(self, fingerprint):
        """Take up what an earlier run left; False where there is nothing to take up."""
        if not (self.path.exists() and self.data.exists()):
            return False
        with open(self.path, "rb") as journal, open(self.data, "rb") as data:
            header = journal.readline()
            if _parse(header) != {"fingerprint": fingerprint}:
                logger.info("the catalogue or the settings have changed; packing starts anew")
                return False
            end = len(header)
            for line in journal:
                chunk = self._whole_chunk(line, data)
                if chunk is None:
                    break
                self._count(chunk)
                end += len(line)
        os.truncate(self.path, end)
        os.truncate(self.data, sum(self.sizes))
        if self.rows:
            logger.info("an earlier run packed %d rows; going on from there", self.rows)
        return True

    def _whole_chunk(self, line, data):
        values = _parse(line)
        if values is None:
            return None
        chunk = Chunk(**values)
        block = data.read(sum(chunk.sizes))
        if hashlib.sha256(block).hexdigest() != chunk.sha256:
            return None
        self.digest.update(block)
        return chunk

    def _count(self, chunk):
        self.rows += chunk.rows
        self.sizes.extend(chunk.sizes)

    def append(self, chunk, items):
        """Store a chunk and its items, bytes one after another."""
        self._data.write(items)
        self._data.flush()
        self._journal.write(json.dumps(asdict(chunk)).encode() + b"\n")
        self._journal.flush()
        self.digest.update(items)
        self._count(chunk)

    def close(self):
        self._data.close()
        self._journal.close()

    def decisions(self):
        """For each row done, in order, the reason it was rejected, or None where it was stored."""
        with open(self.path, encoding="utf-8") as journal:
            next(journal)
            for line in journal:
                yield from Chunk(**json.loads(line)).decisions()


def _parse(line):
    """A journal line's JSON object; None where the line was cut off."""
    if not line.endswith(b"\n"):
        return None
    try:
        return json.loads(line)
    except ValueError:
        return None
