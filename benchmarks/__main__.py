"""`make bench`: every figure beside a floor measured in the same run, in alternating rounds, medians of five.

Environment, all of it optional:

    QUICK=1          take three minutes, and only report
    ONLY=http,start  measure those subjects: http creates reserve connections sizes million pick-up burst memory streams
                     start idle usage archive rebuild year aged pages waiting
    REBUILD_ACCOUNTS=1000000   of ONLY=rebuild, which is 5,000 otherwise
    AGED_GENERATIONS=10000000  of ONLY=aged, which is 200,000 otherwise; AGED_FOLDER: its files, to go on with later

The table and the plots are also written to build/bench/index.html.

Exit 0: every target is met, or missed within noise. Exit 1: one is missed.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from asyncio import Runner

import uvloop
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks import (
    aged,
    archive,
    creates,
    curves,
    http_calls,
    idle_workers,
    memory,
    page,
    pages,
    queueing,
    rebuilding,
    reserve_cost,
    start,
    streams,
    usage,
    waiting,
    year,
)
from benchmarks.bench import Bench, Subject
from benchmarks.plot import Plot
from benchmarks.result import Result, Verdict
from benchmarks.table import table

SUBJECTS = (
    Subject("http", 120, http_calls.measure),
    Subject("creates", 145, creates.measure),
    Subject("reserve", 15, reserve_cost.against_plain_commands),
    Subject("connections", 100, curves.by_connections),
    Subject("sizes", 150, curves.by_size),
    Subject("million", 90, reserve_cost.among_a_million),
    Subject("pick-up", 60, queueing.pick_up),
    Subject("burst", 120, queueing.burst),
    Subject("memory", 25, memory.measure),
    Subject("streams", 25, streams.measure),
    Subject("start", 15, start.measure),
    Subject("idle", 20, idle_workers.measure),
    Subject("usage", 10, usage.measure),
    Subject("archive", 60, archive.measure),
    Subject("rebuild", 30, rebuilding.measure),
    Subject("year", 80, year.measure),
    Subject("aged", 150, aged.measure),
    Subject("pages", 20, pages.measure),
    Subject("waiting", 60, waiting.measure),
)
EXIT_MISSED = 1
EXIT_INTERRUPTED = 130


def main() -> int:
    """Measure, print the table, and say by the exit code whether a target was missed beyond noise."""
    argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    quick = os.environ.get("QUICK", "") not in {"", "0"}
    console = Console() if sys.stdout.isatty() else Console(width=150)
    subjects = _chosen(os.environ.get("ONLY", ""))
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    started_at = time.monotonic()
    try:
        results, plots = _measure(subjects, quick=quick, console=console)
    except KeyboardInterrupt:
        console.print("Stopped; everything that was started is ended.")
        return EXIT_INTERRUPTED
    drawn = table(results, quick=quick, seconds=time.monotonic() - started_at)
    console.print(drawn)
    console.print(f"Also in {page.write(drawn, plots)}.")
    missed = any(result.verdict is Verdict.MISSED for result in results)
    return EXIT_MISSED if missed and not quick else 0


def _measure(subjects: list[Subject], *, quick: bool, console: Console) -> tuple[list[Result], list[Plot]]:
    results: list[Result] = []
    columns = (BarColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=True) as progress:
        bench = Bench(quick=quick, progress=progress, expected_seconds=sum(one.seconds for one in subjects))
        for subject in subjects:
            bench.begin(subject)
            with Runner(loop_factory=uvloop.new_event_loop) as runner:
                results += runner.run(subject.measure(bench))
            bench.end()
    return results, bench.plots


def _chosen(only: str) -> list[Subject]:
    names = [name for name in only.replace(",", " ").split() if name]
    unknown = set(names) - {subject.name for subject in SUBJECTS}
    if unknown:
        raise SystemExit(f"ONLY={only}: there is {', '.join(subject.name for subject in SUBJECTS)}")
    return [subject for subject in SUBJECTS if not names or subject.name in names]


if __name__ == "__main__":
    sys.exit(main())
