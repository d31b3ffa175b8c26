"""Starts the benchmark: `make bench`, or `python bench/run.py --scale 0.1 --runs 1` for a trial."""

import runpy
import sys
from pathlib import Path

if __name__ == "__main__":
    root = str(Path(__file__).resolve().parents[1])
    sys.path[0] = root
    runpy.run_module("bench.suite", run_name="__main__")
