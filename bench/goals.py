"""The goals for speed and size as data, and whether medians meet them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from bench.figures import MINE, Spread, is_peer, shown


@dataclass(frozen=True, slots=True)
class Goal:
    """A figure of ours is at most `limit`, or at most the best peer's divided by `times`."""

    figure: str
    words: str
    times: float | None = None
    limit: float | None = None
    plotted: str = ""


class Verdict(msgspec.Struct, frozen=True):
    """One goal beside what was measured; `peer` is the side with the lowest figure."""

    goal: str
    figure: str
    ours: float
    allowed: float
    peer: str | None
    theirs: float | None
    met: bool
    plotted: str


def judge(goals: Sequence[Goal], sides: Mapping[str, Mapping[str, Spread]]) -> list[Verdict]:
    """Return a verdict for each goal that has figures to judge by."""
    found = [_judge_one(goal, sides) for goal in goals]
    return [verdict for verdict in found if verdict is not None]


def _judge_one(goal: Goal, sides: Mapping[str, Mapping[str, Spread]]) -> Verdict | None:
    mine = sides.get(MINE, {}).get(goal.figure)
    if mine is None:
        return None
    peer, theirs, allowed = None, None, goal.limit
    if goal.times is not None:
        medians = {
            name: figures[goal.figure].median
            for name, figures in sides.items()
            if is_peer(name) and goal.figure in figures
        }
        if not medians:
            return None
        peer = min(medians, key=lambda name: medians[name])
        theirs = medians[peer]
        allowed = round(theirs / goal.times, 4)
    if allowed is None:
        return None
    return Verdict(
        goal=goal.words,
        figure=goal.figure,
        ours=mine.median,
        allowed=allowed,
        peer=peer,
        theirs=theirs,
        met=mine.median <= allowed,
        plotted=goal.plotted,
    )


def sentence(verdict: Verdict) -> str:
    """Return a verdict as one line of Markdown."""
    told = f"{shown(verdict.figure, verdict.ours)}"
    if verdict.peer is not None and verdict.theirs is not None:
        told += f", {verdict.peer} {shown(verdict.figure, verdict.theirs)}"
        if verdict.ours > 0:
            told += f" ({verdict.theirs / verdict.ours:.2f} times ours)"
    return f"| {verdict.goal} | {told} | {'met' if verdict.met else '**missed**'} |"
