"""Moved to :mod:`fairseq_item.data.tsv`."""

from fairseq_item.data.tsv import Table, check_ids, read_table, unique_ids, write_table

__all__ = ["Table", "check_ids", "read_table", "unique_ids", "write_table"]
