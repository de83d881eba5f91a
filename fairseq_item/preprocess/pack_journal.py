"""What was packed so far, kept so that a killed run can go on where it stopped."""

import json
import logging
from dataclasses import asdict, dataclass, field
from pathlib import Path

from fairseq_item.data.image_store import unfinished_path
from fairseq_item.files import writing

logger = logging.getLogger(__name__)


@dataclass
class Chunk:
    """What became of consecutive rows of a catalogue.

    Attributes:
        rows: number of rows.
        sizes: bytes of each stored item, in row order.
        rejected: pairs of a row's position in the chunk and the reason it was not stored.
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


def journal_path(prefix):
    """Where the journal of an unfinished image store lies."""
    return Path(f"{unfinished_path(prefix)}.journal")


class PackJournal:
    """Which rows of a catalogue went into an unfinished image store, and why others did not.

    A chunk's line is written after its items and carries their digest, so whatever a kill leaves
    behind, the chunks that can be proved whole are found again. The journal's first line is the
    fingerprint of what is being packed: the journal of anything else is not continued.

    Args:
        writer: an ``ImageStoreWriter`` opened with ``resume``.
        fingerprint: digest of everything the bytes depend on.

    Attributes:
        rows: catalogue rows done so far.
    """

    def __init__(self, writer, fingerprint):
        self.writer = writer
        self.path = journal_path(writer.prefix)
        self.rows = 0
        end = self._recover(fingerprint) if self.path.exists() else 0
        self._file = open(self.path, "r+b" if end else "w+b")  # noqa: SIM115  (for close())
        self._file.truncate(end)
        self._file.seek(end)
        if not end:
            self._write({"fingerprint": fingerprint})
        if self.rows:
            logger.info("an earlier run packed %d rows; going on from there", self.rows)

    def _recover(self, fingerprint):
        """Count what an earlier run left; returns where the whole lines end, 0 if none counts."""
        with open(self.path, "rb") as journal:
            header = journal.readline()
            if _parse(header) != {"fingerprint": fingerprint}:
                logger.info("the catalogue or the settings have changed; packing starts anew")
                return 0
            end = len(header)
            for line in journal:
                values = _parse(line)
                if values is None or not self.writer.recover(values["sizes"], values["sha256"]):
                    break
                self.rows += values["rows"]
                end += len(line)
        return end

    def append(self, chunk, items):
        """Store a chunk and its items, bytes one after another."""
        self.writer.append(chunk.sizes, items)
        self._write(asdict(chunk))
        self.rows += chunk.rows

    def _write(self, values):
        with writing(self.path):
            self._file.write(json.dumps(values).encode() + b"\n")
            self._file.flush()

    def decisions(self):
        """For each row done, in order, the reason it was rejected, or None where it was stored."""
        with open(self.path, encoding="utf-8") as journal:
            next(journal)
            for line in journal:
                yield from Chunk(**json.loads(line)).decisions()

    def close(self):
        self._file.close()

    def discard(self):
        """Remove the journal."""
        self._file.close()
        self.path.unlink(missing_ok=True)


def _parse(line):
    """A journal line's JSON object; None where the line was cut off."""
    if not line.endswith(b"\n"):
        return None
    try:
        return json.loads(line)
    except ValueError:
        return None
