"""Conditions on the columns of an index's items: which of them a search may answer with.

A condition is ``column OP value``, OP one of = != < <= > >=. ``=`` and ``!=`` compare text, case
and all: an empty value is what items have that lack one. The others compare numbers, and hold for
no item that lacks one. No expression language is needed for that, nor one that could do more.
"""

import math
import operator
import re
import shlex
from copy import copy
from functools import cached_property
from threading import Lock

import numpy as np

from fairseq_item.errors import InputError
from fairseq_item.search.index import EXACT

COMPARISONS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
_REST = re.compile(r"(!=|<=|>=|=|<|>)(.*)", re.DOTALL)
_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)


def split_conditions(text):
    """Conditions with blanks between them, each with quotes where a value has blanks: list of str.

    Raises:
        InputError: a quote is not closed, or there is no condition.
    """
    try:
        conditions = shlex.split(text)
    except ValueError as error:
        reason = str(error).lower()
        raise InputError(f"--where {text!r}: {reason}; write an apostrophe as \\'") from None
    if not conditions:
        raise InputError("--where has no condition; write it as column=value")
    return conditions


class Filters:
    """The columns of an index's items; safe to be used by several threads.

    Args:
        items: ``Table`` of the items.
        source: what they are called in messages.
    """

    def __init__(self, items, source="items.tsv"):
        self._items, self._source = items, source
        self._names = sorted(items.fieldnames, key=len, reverse=True)
        self._columns, self._lock = {}, Lock()

    def mask(self, where):
        """Which items fulfil all conditions.

        Args:
            where: list of str, each a condition; what follows its operator is the value as it is.

        Returns:
            (n,) bool.

        Raises:
            InputError: a condition has another form, there is no such column, or what is to be
                compared as a number is none.
        """
        mask = np.ones(len(self._items), bool)
        for condition in where:
            name, comparison, value = self._parsed(condition)
            column = self._column(name)
            if comparison in COMPARISONS:
                value = _number(value)
                if math.isnan(value):
                    raise InputError(f"where={condition!r}: {comparison} takes a number")
                self._check_numbers(name, column, comparison)
                mask &= COMPARISONS[comparison](column.numbers, value)[column.codes]
            else:
                mask &= (column.codes == column.values.get(value, -1)) == (comparison == "=")
        return mask

    def _parsed(self, condition):
        """Column, operator and value; of columns of which one begins with another, the longer."""
        for name in self._names:
            rest = _REST.fullmatch(condition[len(name) :]) if condition.startswith(name) else None
            if rest:
                return name, *rest.groups()
        raise InputError(
            f"where={condition!r}: write it as column=value, without blanks around =, or with one "
            f"of != < <= > >=; the columns are {', '.join(self._items.fieldnames)}"
        )

    def _column(self, name):
        """A column, taken apart when it is first asked for."""
        with self._lock:
            if name not in self._columns:
                self._columns[name] = _Column(self._items.values(name), len(self._items))
            return self._columns[name]

    def _check_numbers(self, name, column, comparison):
        wrong = [v for v, x in zip(column.values, column.numbers) if math.isnan(x) and v.strip()]
        if wrong:
            row = int(np.argmax(column.codes == column.values[wrong[0]])) + 2
            raise InputError(
                f"{self._source} row {row} has {wrong[0][:60]!r} for {name}, which {comparison} "
                "cannot compare as a number; use = or !="
            )


class _Column:
    """(n,) int32 ``codes``, and ``values``: value -> code."""

    def __init__(self, values, count):
        self.values = {}
        codes = (self.values.setdefault(value, len(self.values)) for value in values)
        self.codes = np.fromiter(codes, np.int32, count)

    @cached_property
    def numbers(self):
        """The values as float64; NaN, of which no comparison holds, where one is no number."""
        return np.array([_number(value) for value in self.values])


def _number(text):
    """A decimal number, NaN where ``text`` is none."""
    return float(text) if _NUMBER.fullmatch(text) else math.nan


def narrowed(index, mask):
    """The same index in which only some items can be compared by anything.

    Searched exactly, whatever its factory: few of those that faiss lists may be among them.

    Args:
        index: ``ItemIndex``.
        mask: (n,) bool.
    """
    index = copy(index)
    index.present = index.present & mask[:, None]
    index.meta, index.candidates = {**index.meta, "factory": EXACT}, None
    return index
