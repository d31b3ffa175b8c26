"""Shows results as Markdown, and keeps the marked block of docs/benchmarks.md equal to them."""

from collections.abc import Mapping

from bench.figures import Spread, shown
from bench.goals import sentence
from bench.results import Measured, Part, Results
from bench.scenarios import SCENARIOS

BEGIN = "<!-- results: written by make bench from bench/results.json -->"
END = "<!-- end of results -->"


def replaced(page: str, results: Results) -> str:
    """Return a page whose marked block shows these results."""
    before, rest = page.split(BEGIN)
    after = rest.split(END)[1]
    return f"{before}{BEGIN}\n\n{block(results)}\n\n{END}{after}"


def block(results: Results) -> str:
    """Return all scenarios that were measured: goals, medians, and with what."""
    parts = [
        shown_part(name, results.scenarios[name]) for name in SCENARIOS if name in results.scenarios
    ]
    return "\n\n".join(parts)


def shown_part(name: str, part: Part) -> str:
    """Return one scenario's results."""
    lines = [f"### {part.title}", "", _about(name, part)]
    if part.sides:
        lines += ["", *_table(SCENARIOS[name].figures, part.sides)]
    if part.goals:
        lines += ["", "| goal | median of ours, of the best peer | |", "|---|---|---|"]
        lines += [sentence(verdict) for verdict in part.goals]
    return "\n".join(lines)


def _about(name: str, part: Part) -> str:
    told = [_measured(part.measured)]
    if "bytes" in part.input:
        told.insert(0, f"{part.input['bytes'] / 1e6:,.0f} MB")
    if part.input.get("files", 1) > 1:
        told.insert(0, f"{part.input['files']:,} files")
    return f"`--only {name}`: " + "; ".join(told) + "."


def _measured(measured: Measured) -> str:
    told = f"{measured.at[:10]}, {', '.join(measured.versions)}, {measured.cores} cores"
    return told if measured.scale == 1 else f"{told}; **a trial at scale {measured.scale}**"


def _table(headings: Mapping[str, str], sides: Mapping[str, Mapping[str, Spread]]) -> list[str]:
    columns = [name for name in headings if any(name in figures for figures in sides.values())]
    lines = ["| side | " + " | ".join(headings[name] for name in columns) + " | runs |"]
    lines.append("|---" * (len(columns) + 2) + "|")
    for side, figures in sides.items():
        cells = [shown(name, figures[name].median) if name in figures else "-" for name in columns]
        counts = [figures[name].runs for name in columns if name in figures] or [0]
        runs = str(min(counts)) if min(counts) == max(counts) else f"{min(counts)}-{max(counts)}"
        lines.append(f"| {side} | {' | '.join(cells)} | {runs} |")
    return lines
