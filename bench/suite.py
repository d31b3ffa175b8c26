"""The benchmark: every side does the same to the same bytes, in turn, several times.

Sides take turns within one run (A B C, A B C), so that a machine which slows down on the way slows
all of them. Every restore is compared with the original. What is measured is written after each
scenario, so an interrupted benchmark keeps what it had. docs/benchmarks.md tells what figures mean.
"""

import argparse
import time
from pathlib import Path

from bench import lane, measure, page, plot, results
from bench.lane import Trial
from bench.measure import ROOT, NotMeasured
from bench.scenarios import SCENARIOS
from bench.sides import peers

RESULTS = ROOT / "bench" / "results.json"
PAGE = ROOT / "docs" / "benchmarks.md"
PLOT = ROOT / "docs" / "benchmarks.svg"


def main() -> None:
    """Measure what was asked for; print, write and draw it."""
    options = _options()
    if options.show:
        _show(results.judged_again(results.read(RESULTS)))
        return
    found, missing = peers()
    for line in missing:
        print(line)
    failed: list[str] = []
    for name in options.only or SCENARIOS:
        scenario = SCENARIOS[name]
        print(f"{name}: {scenario.title}", flush=True)
        started = time.perf_counter()
        measure.touch_memory()
        try:
            with lane.folder(options.work) as folder:
                trial = Trial(folder, options.runs, options.scale, found)
                measured = results.measured_now(trial, missing)
                part = results.part(scenario, scenario.measure(trial), measured)
        except NotMeasured as error:
            print(f"{name} is not measured: {error}", flush=True)
            failed.append(name)
            continue
        print(f"\n{page.shown_part(name, part)}\n")
        print(f"{name} took {(time.perf_counter() - started) / 60:.1f} minutes", flush=True)
        if options.output:
            _keep(options.output, name, part)
    if failed:
        raise SystemExit(f"not measured: {', '.join(failed)}")


def _keep(output: Path, name: str, part: results.Part) -> None:
    """Replace this scenario's part in a file of results and draw them all."""
    whole = results.read(output)
    whole.scenarios[name] = part
    if output == RESULTS:
        _show(whole)
    else:
        results.write(output, whole)
        output.with_suffix(".svg").write_text(plot.draw(whole), encoding="utf-8")
    print(f"written to {output}", flush=True)


def _show(whole: results.Results) -> None:
    """Write the results that are kept, and the page and the picture that show them."""
    results.write(RESULTS, whole)
    PAGE.write_text(page.replaced(PAGE.read_text("utf-8"), whole), encoding="utf-8")
    PLOT.write_text(plot.draw(whole), encoding="utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure Strongroom against its peers.")
    parser.add_argument("--runs", type=int, default=5, help="how often each side is measured")
    parser.add_argument("--scale", type=float, default=1.0, help="size of the inputs, 0.1 to try")
    parser.add_argument(
        "--only", action="append", choices=list(SCENARIOS), metavar="SCENARIO",
        help=f"only this one; may be given again: {', '.join(SCENARIOS)}",
    )  # fmt: skip
    parser.add_argument("--work", type=Path, help="the folder to work in; 30 GB at full scale")
    parser.add_argument(
        "--output", type=Path,
        help="where results go; bench/results.json at full scale, otherwise nowhere",
    )  # fmt: skip
    parser.add_argument(
        "--show", action="store_true",
        help="measure nothing: judge the kept results again, and write the page and the picture",
    )  # fmt: skip
    options = parser.parse_args()
    if options.runs < 1 or not 0 < options.scale <= 1:
        parser.error("--runs is at least 1, --scale above 0 and at most 1")
    if options.output is None and options.scale == 1:
        options.output = RESULTS
    return options


if __name__ == "__main__":
    main()
