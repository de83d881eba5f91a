"""A program that ends while fairseq reads ahead."""

import subprocess
import sys

import pytest

READS_AHEAD = """
import torch
from fairseq.data.iterators import BufferedIterator
from fairseq_item.tasks.prefetching import end_prefetching_at_exit

class Batches:
    def __len__(self):
        return 10_000

    def __iter__(self):
        for _ in range(len(self)):
            {work}
            yield torch.zeros(1)

{end}
next(iter(BufferedIterator(4, Batches())))
print("done")
"""
BUSY = "torch.stack([torch.randn(100, 100) for _ in range(200)]).sort()"


@pytest.mark.slow
@pytest.mark.parametrize("work", [BUSY, "pass"], ids=["busy", "waiting for room"])
def test_it_ends_cleanly(work):
    code = READS_AHEAD.format(work=work, end="end_prefetching_at_exit()")
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr[-2000:]
    assert "terminate" not in done.stderr
