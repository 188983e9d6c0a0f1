"""What people's votes on agents side by side add up to: win rates with intervals, and Bradley-Terry strengths."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, count
from string import ascii_uppercase

from workbench.agents.names import told_apart
from workbench.store.rows import VoteRow


@dataclass(frozen=True, slots=True)
class Standing:
    """One agent in the votes. Counts are of pairs: a vote on n columns compares its winner with n − 1 others.

    `rate` is wins ÷ (wins + losses) with its Wilson interval (ties and "all bad" apart); `strength` is the Bradley-Terry
    log-strength against the first agent of the table, a tie half a win for each; None where it cannot be estimated.
    """

    agent: str
    wins: int
    losses: int
    ties: int
    bad: int
    rate: float | None
    low: float | None
    high: float | None
    strength: float | None = None
    strength_low: float | None = None
    strength_high: float | None = None


@dataclass(frozen=True, slots=True)
class Votes:
    """All that counts: `n` votes, of which `blind` were given without names. `standings` best first."""

    n: int
    blind: int
    standings: tuple[Standing, ...]
    notes: tuple[tuple[str, str], ...]
    """(verdict in words, note) of votes with a note, newest first."""


def add_up(votes: Sequence[VoteRow]) -> Votes:
    """Sum votes up. Two columns with the same agent say nothing about it and are left out of the pairs."""
    from workbench.evaluation.statistics.intervals import proportion

    wins: Counter[tuple[str, str]] = Counter()
    drawn: dict[str, Counter[tuple[str, str]]] = {"tie": Counter(), "bad": Counter()}
    agents = dict.fromkeys(agent for vote in votes for agent in vote.agents)
    for vote in votes:
        if vote.verdict == "win" and vote.winner is not None:
            best = vote.agents[vote.winner]
            wins.update((best, other) for n, other in enumerate(vote.agents) if n != vote.winner and other != best)
        else:
            drawn[vote.verdict].update(
                (min(pair), max(pair)) for pair in combinations(vote.agents, 2) if len(set(pair)) == 2
            )
    rows = []
    for agent in agents:
        won = sum(n for (a, _), n in wins.items() if a == agent)
        lost = sum(n for (_, b), n in wins.items() if b == agent)
        ties, bad = (sum(n for pair, n in drawn[kind].items() if agent in pair) for kind in ("tie", "bad"))
        share = proportion(won, won + lost)
        rows.append(Standing(agent, won, lost, ties, bad, share.rate, share.low, share.high))
    rows.sort(key=lambda r: (-(r.rate if r.rate is not None else -1), -r.wins, r.agent))
    notes = tuple((in_words(v), v.note) for v in reversed(votes) if v.note)
    return Votes(len(votes), sum(v.blind for v in votes), _strengths(rows, wins, drawn["tie"] + drawn["bad"]), notes)


def _strengths(
    rows: Sequence[Standing], wins: Counter[tuple[str, str]], draws: Counter[tuple[str, str]]
) -> tuple[Standing, ...]:
    from dataclasses import replace

    from workbench.evaluation.statistics.ranking import bradley_terry

    scores: dict[tuple[str, str], float] = dict(wins)
    for (a, b), n in draws.items():
        for pair in ((a, b), (b, a)):
            scores[pair] = scores.get(pair, 0.0) + n / 2
    if not rows or not any(rows[0].agent in pair for pair in scores):
        return tuple(rows)
    found = bradley_terry(scores, rows[0].agent)
    return tuple(
        replace(row, strength=s.log_strength, strength_low=s.low, strength_high=s.high)
        if (s := found.get(row.agent))
        else row
        for row in rows
    )


def in_words(vote: VoteRow) -> str:
    """`oracle better than compiled:x`, `tie: a, b`, `all bad: a, b`."""
    if vote.verdict == "win" and vote.winner is not None:
        others = ", ".join(a for n, a in enumerate(vote.agents) if n != vote.winner)
        return f"{vote.agents[vote.winner]} better than {others}"
    return f"{'tie' if vote.verdict == 'tie' else 'all bad'}: {', '.join(vote.agents)}"


def text(found: Votes, width: int = 0) -> str:
    """A table for people. Where agents' names would make it wider than `width` cells (0: never) it has letters for them,
    and the names stand below."""
    from rich.cells import cell_len

    from workbench.text import clean_line

    if not found.n:
        return "no votes yet: `workbench chat A B --blind`, or B in the app's chat pane"
    names = {agent: clean_line(name, 200) for agent, name in told_apart(s.agent for s in found.standings).items()}
    lines = [("agent", "won", "lost", "tie", "bad", "win rate (95%)", "Bradley-Terry (95%)")]
    for s in found.standings:
        rate = "–" if s.rate is None else f"{s.rate:.0%} {s.low:.0%}–{s.high:.0%}"
        strength = "–" if s.strength is None else f"{s.strength:+.2f}"
        if s.strength_low is not None:
            strength += f" {s.strength_low:+.2f} … {s.strength_high:+.2f}"
        lines.append((names[s.agent], str(s.wins), str(s.losses), str(s.ties), str(s.bad), rate, strength))
    widths = [max(cell_len(row[n]) for row in lines) for n in range(len(lines[0]))]
    legend: list[str] = []
    if width and sum(widths) + 2 * (len(widths) - 1) > width:
        legend = [f"{letter} = {name}" for letter, name in zip(_letters(), names.values(), strict=False)]
        lines = [lines[0], *((letter, *row[1:]) for letter, row in zip(_letters(), lines[1:], strict=False))]
        widths[0] = max(cell_len(row[0]) for row in lines)
    table = [
        "  ".join(cell + " " * (w - cell_len(cell)) for cell, w in zip(row, widths, strict=True)).rstrip()
        for row in lines
    ]
    said = [f"  {_briefly(verdict, names)}: {clean_line(note, 300)}" for verdict, note in found.notes[:20]]
    return "\n".join(
        [
            f"{found.n} vote{'s'[: found.n != 1]}, {found.blind} of them blind; a vote on n columns is n − 1 pairs",
            *table,
            *legend,
            *(["notes:", *said] if said else []),
        ]
    )


def _letters() -> Iterator[str]:
    """A, B, … Z, A2, B2, …"""
    for n in count():
        yield f"{ascii_uppercase[n % 26]}{n // 26 + 1 if n >= 26 else ''}"


def _briefly(words: str, names: Mapping[str, str]) -> str:
    """The words with each agent's name as the table has it."""
    from workbench.text import clean_line

    for agent in sorted(names, key=len, reverse=True):
        words = words.replace(agent, names[agent])
    return clean_line(words, 200)
