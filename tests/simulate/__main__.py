"""Seeds on the command line: python -m tests.simulate --seeds 10000 [--first 0] [--jobs 2], or --seed N for one.

Exit code 1 where something did not hold; what it was, and how the seed is run again, is printed.
"""

import argparse
import os
import sys
import time
from collections import Counter
from multiprocessing import get_context

from tests.simulate.scenario import found, run

PART = 50  # seeds that a process takes at a time


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.simulate")
    parser.add_argument("--seeds", type=int, default=200, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first one")
    parser.add_argument("--seed", type=int, help="one alone, with its whole history")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes")
    asked = parser.parse_args()
    if asked.seed is not None:
        outcome = run(asked.seed)
        print("\n".join(outcome.trace), *outcome.violations, dict(outcome.counts), sep="\n")
        return 1 if outcome.violations else 0
    began, counts, bad = time.monotonic(), Counter(), []
    end = asked.first + asked.seeds
    spans = [(at, min(at + PART, end)) for at in range(asked.first, end, PART)]
    with get_context("spawn").Pool(asked.jobs) as pool:
        for of, wrong in pool.imap_unordered(found, spans):
            counts += of
            for outcome in wrong:
                print(outcome, flush=True)
            bad += wrong
    took = time.monotonic() - began
    print(f"{asked.seeds} seeds from {asked.first} on in {took:.0f} s: {len(bad)} did not hold")
    print(", ".join(f"{name} {n}" for name, n in sorted(counts.items())))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
