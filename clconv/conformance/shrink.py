"""From a problem that fails to a small one that fails in the same way."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from clconv.conformance.words import Words
from clconv.errors import UnsupportedError
from clconv.spec.tensor import Problem

LIMIT_S = 20.0  # for one problem; what was found until then is good enough


def shrink(problem: Problem, fails: Callable[[Problem], bool], limit_s: float = LIMIT_S) -> Problem:
    """Return a problem that still fails, of which no single step makes a smaller one that does.

    Greedy: flags are dropped, groups joined, numbers set to the least, halved or made less by one,
    one at a time; the first step after which `fails` says so is kept. Each makes the string less,
    so there is an end; after `limit_s` seconds it is where it is.
    """
    end = time.monotonic() + limit_s
    words = Words.of(problem)
    smaller: Words | None = words
    while smaller is not None and time.monotonic() < end:
        words = smaller
        smaller = next(
            (s for s in steps(words) if time.monotonic() < end and _fails(s, fails)), None
        )
    return words.problem


def _fails(words: Words, fails: Callable[[Problem], bool]) -> bool:
    try:
        return fails(words.problem)
    except (ValueError, UnsupportedError):  # no problem, or none that a function states
        return False


def steps(words: Words) -> Iterator[Words]:
    """Yield what is one step smaller, the largest steps first; not all of it makes sense."""
    for flag in words.flags:
        yield replace(words, flags=tuple(other for other in words.flags if other != flag))
    yield from _fewer_axes(words)
    yield from _fewer_groups(words)
    for letter, size in words.sizes.items():
        # Channels of every group at once: any others would not fit.
        parts = words.sizes.get("g", 1) if letter in "co" else 1
        for less in _less(size // parts, 1) if letter != "g" else ():
            yield words.with_sizes(**{letter: parts * less})
    # Padding first: a small image may need it.
    for letter, entries in sorted(words.axes.items(), key=lambda item: item[0] != "p"):
        for place, entry in enumerate(entries):
            for smaller in _less_entry(entry):
                changed = (*entries[:place], smaller, *entries[place + 1 :])
                yield words.with_axes(**{letter: changed})


def _fewer_axes(words: Words) -> Iterator[Words]:
    """Yield the words without one of the spatial axes; a layout would not fit."""
    for place in range(words.rank if words.rank > 1 else 0):
        axes = {k: (*v[:place], *v[place + 1 :]) for k, v in words.axes.items()}
        yield replace(words, axes=axes)


def _fewer_groups(words: Words) -> Iterator[Words]:
    """Yield the words with fewer groups, as large as they were."""
    groups = words.sizes.get("g", 1)
    for less in _less(groups, 1):
        channels = {letter: words.sizes[letter] // groups * less for letter in "co"}
        yield words.with_sizes(g=less, **channels)


def _less(number: int, least: int) -> list[int]:
    """Return the least number, half of it, and one less: what of these is less."""
    towards = number - 1 if number > least else number + 1
    tried = (least, (number + least) // 2, towards)
    return [n for n in dict.fromkeys(tried) if abs(n - least) < abs(number - least)]


def _less_entry(entry: int | tuple[int, int]) -> Iterator[int | tuple[int, int]]:
    if isinstance(entry, tuple):
        low, high = entry
        yield from ((less, high) for less in _less(low, 0))
        yield from ((low, less) for less in _less(high, 0))
    else:
        yield from _less(entry, 1)
