"""Makes ``fairseq_item`` importable for the scripts beside this file, installed or not."""

import sys
from pathlib import Path

ROOT = str(Path(__file__).resolve().parent.parent)
if ROOT not in sys.path:
    sys.path.append(ROOT)
