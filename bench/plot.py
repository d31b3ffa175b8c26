"""Draws the results as one SVG: for each goal a panel with a bar for every side, shorter is better.

Plain text and rectangles with the reader's own fonts; it brings its own background, light or dark
as the reader's system is, so that it is read wherever it is shown.
"""

from collections.abc import Iterator
from html import escape

from bench.figures import CEILING, MINE, is_peer, shown
from bench.goals import Verdict
from bench.results import Part, Results
from bench.scenarios import SCENARIOS

COLUMNS = 2
WIDTH, MARGIN, GAP = 960, 24, 36
PANEL = (WIDTH - 2 * MARGIN - GAP) // COLUMNS
NAMES, VALUES = 170, 62
HEAD, BAR, STEP, FOOT = 46, 13, 20, 26
TOP = 70
STYLE = """
  .paper { fill: #ffffff } text { fill: #1f2328; font: 12px system-ui, sans-serif }
  .title { font-size: 18px; font-weight: 600 } .head { font-size: 13px; font-weight: 600 }
  .soft { fill: #59636e } .ours { fill: #0969da } .copies { fill: #80b3ee }
  .peer { fill: #afb8c1 } .ceiling { fill: #dfe3e8 } .goal { stroke: #1a7f37 }
  .missed { stroke: #cf222e } .met-word { fill: #1a7f37 } .missed-word { fill: #cf222e }
  .goal, .missed { stroke-width: 2; stroke-dasharray: 4 3 }
  @media (prefers-color-scheme: dark) {
    .paper { fill: #0d1117 } text { fill: #f0f6fc } .soft { fill: #9198a1 }
    .ours { fill: #4493f8 } .copies { fill: #1f4f8f } .peer { fill: #59636e }
    .ceiling { fill: #30363d } .goal { stroke: #3fb950 } .missed { stroke: #f85149 }
    .met-word { fill: #3fb950 } .missed-word { fill: #f85149 }
  }
"""


def draw(results: Results) -> str:
    """Return the picture of every goal that is to be plotted and was measured."""
    panels = [
        (part, verdict)
        for part in (results.scenarios[name] for name in SCENARIOS if name in results.scenarios)
        for verdict in part.goals
        if verdict.plotted
    ]
    drawn: list[str] = []
    top = TOP
    for first in range(0, len(panels), COLUMNS):
        row = panels[first : first + COLUMNS]
        for column, (part, verdict) in enumerate(row):
            drawn += _panel(part, verdict, MARGIN + column * (PANEL + GAP), top)
        top += max(_height(part, verdict) for part, verdict in row)
    head = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}" '
            f'width="{WIDTH}" height="{top}" role="img" aria-label="Benchmark results">'
        ),
        f"<style>{STYLE}</style>",
        f'<rect class="paper" width="{WIDTH}" height="{top}"/>',
        _text(MARGIN, 32, "Strongroom beside its peers: shorter is better", "title"),
        _text(MARGIN, 52, "Medians. The dashed line is the goal for Strongroom.", "soft"),
    ]
    return "\n".join([*head, *drawn, "</svg>"]) + "\n"


def _bars(part: Part, verdict: Verdict) -> list[tuple[str, float]]:
    figure = verdict.figure
    return [(side, row[figure].median) for side, row in part.sides.items() if figure in row]


def _height(part: Part, verdict: Verdict) -> int:
    return HEAD + len(_bars(part, verdict)) * STEP + FOOT


def _panel(part: Part, verdict: Verdict, left: int, top: int) -> Iterator[str]:
    bars = _bars(part, verdict)
    longest = max([value for _, value in bars] + [verdict.allowed]) or 1.0
    room = PANEL - NAMES - VALUES
    yield _text(left, top + 12, verdict.plotted, "head")
    goal = f"goal: at most {shown(verdict.figure, verdict.allowed)}, "
    state = "met" if verdict.met else "missed"
    yield (
        f'<text class="soft" x="{left}" y="{top + 29}">{goal}'
        f'<tspan class="{state}-word">{state}</tspan></text>'
    )
    for number, (side, value) in enumerate(bars):
        y = top + HEAD - 6 + number * STEP
        length = max(1.0, room * value / longest)
        yield _text(left + NAMES - 8, y + 11, side, "", "end")
        yield (
            f'<rect class="{_kind(side)}" x="{left + NAMES}" y="{y}" width="{length:.1f}" '
            f'height="{BAR}" rx="2"/>'
        )
        yield _text(left + PANEL, y + 11, shown(verdict.figure, value), "soft", "end")
    x = left + NAMES + room * verdict.allowed / longest
    end = top + HEAD - 6 + len(bars) * STEP - (STEP - BAR) + 4
    yield (
        f'<line class="{"goal" if verdict.met else "missed"}" x1="{x:.1f}" x2="{x:.1f}" '
        f'y1="{top + HEAD - 10}" y2="{end}"/>'
    )


def _kind(side: str) -> str:
    if side == CEILING:
        return "ceiling"
    if is_peer(side):
        return "peer"
    return "ours" if side == MINE else "copies"


def _text(x: int, y: int, words: str, kind: str, anchor: str = "start") -> str:
    about = f' class="{kind}"' if kind else ""
    return f'<text{about} x="{x}" y="{y}" text-anchor="{anchor}">{escape(words)}</text>'
