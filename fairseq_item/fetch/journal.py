"""What was fetched and what was not, by address, in a file that a killed run leaves whole."""

import sqlite3

from fairseq_item.errors import InputError

TABLE = """
CREATE TABLE IF NOT EXISTS photos (
    number INTEGER PRIMARY KEY, url TEXT UNIQUE, host TEXT,
    file TEXT, sha256 TEXT, bytes INTEGER, reason TEXT, final INTEGER
);
CREATE INDEX IF NOT EXISTS waiting ON photos (host, number) WHERE file IS NULL AND reason IS NULL;
"""
WAITING = "file IS NULL AND reason IS NULL"


class Journal:
    """A table of addresses on disk: millions of them need no memory.

    Args:
        path: SQLite file, made where it is missing.

    Raises:
        InputError: the file is none of SQLite's, or cannot be written.
    """

    def __init__(self, path):
        try:
            self._base = sqlite3.connect(path)
            # A kill loses nothing that was committed; a power cut may lose the last lines.
            self._base.execute("PRAGMA journal_mode=WAL")
            self._base.execute("PRAGMA synchronous=NORMAL")
            self._base.executescript(TABLE)
        except sqlite3.Error as error:
            raise InputError(
                f"{path} cannot be used as a journal ({error}); remove it to fetch all anew"
            ) from None

    def add(self, pairs):
        """Take in (address, host) that may be there already."""
        self._base.executemany("INSERT OR IGNORE INTO photos (url, host) VALUES (?, ?)", pairs)
        self._base.commit()

    def try_again(self, whole, rejected=False):
        """Forget failures that may pass, and files that are gone.

        Args:
            whole: function of (file, bytes) that tells whether a file is still there.
            rejected: forget all other failures, too.
        """
        lost = [
            (number,)
            for number, file, size in self._base.execute(
                "SELECT number, file, bytes FROM photos WHERE file IS NOT NULL"
            )
            if not whole(file, size)
        ]
        self._base.executemany("UPDATE photos SET file = NULL WHERE number = ?", lost)
        self._base.execute("UPDATE photos SET reason = NULL WHERE NOT final OR ?", (rejected,))
        self._base.commit()

    def hosts(self):
        """The hosts that have addresses waiting, list of str."""
        rows = self._base.execute(f"SELECT DISTINCT host FROM photos WHERE {WAITING}")
        return [host for (host,) in rows]

    def count(self, done):
        """How many addresses were fetched, or are waiting."""
        condition = "file IS NOT NULL" if done else WAITING
        return self._base.execute(f"SELECT count(*) FROM photos WHERE {condition}").fetchone()[0]

    def waiting(self, host, after, limit):
        """(number, address) of a host's waiting addresses beyond number ``after``."""
        return self._base.execute(
            f"SELECT number, url FROM photos WHERE {WAITING} AND host = ? AND number > ? "
            "ORDER BY number LIMIT ?",
            (host, after, limit),
        ).fetchall()

    def fetched(self, number, file, sha256, size):
        """Note that an address was fetched."""
        self._set("file = ?, sha256 = ?, bytes = ?", file, sha256, size, number)

    def failed(self, number, reason, final):
        """Note that an address was not; ``final``: it need not be tried in another run."""
        self._set("reason = ?, final = ?", reason, final, number)

    def _set(self, columns, *values):
        self._base.execute(f"UPDATE photos SET {columns} WHERE number = ?", values)
        self._base.commit()

    def look_up(self, url):
        """(file, reason) of an address; one of them is None, or both."""
        row = self._base.execute("SELECT file, reason FROM photos WHERE url = ?", (url,)).fetchone()
        return row or (None, None)

    def close(self):
        self._base.close()
