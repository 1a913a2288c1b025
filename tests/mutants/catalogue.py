"""The mutants: every file's text with one fault, by general rules on its tokens, and by hand."""

from __future__ import annotations

import ast
import hashlib
import io
import re
import tokenize
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import zip_longest
from pathlib import Path
from typing import Any

from mutants.rules import HOST_RULES, KERNEL_RULES, Rule

ROOT = Path(__file__).parents[2]
BY_HAND = Path(__file__).with_name("named.toml")
KERNELS = "kernels_cl"
HOST = ("clconv/spec/geometry.py", "clconv/spec/rearrangement.py", "clconv/algorithms/*.py")
# They compute no shapes: which families are trusted, which `clconv verify` has turned off.
# And how much implicit_gemm takes at once, which no result shows: tests/algorithms/
# test_implicit_boxes.py holds that it has room.
NOT_HOST = (
    "clconv/algorithms/selfcheck.py",
    "clconv/algorithms/trust.py",
    "clconv/algorithms/implicit_boxes.py",
)
# What only refuses, or says how fast it goes: tests/ops/test_arguments.py and benchmarks see to it.
NOT_SHAPES = {"__post_init__", "_ends", "refuse", "_refuse_shape", "check_padding_mode"}
NOT_SHAPES |= {"tile_for", "macros_of"}
NOT_SHAPES |= {"default_limits", "select", "algorithm_names", "_named", "_nothing_left"}
NOT_SHAPES |= {"_in_turn", "_when_prepared"}
# Which tile implicit_images takes: tests/algorithms/test_implicit_gemm.py.
NOT_SHAPES |= {"images_job", "rows"}
# How much depthwise_staged takes at once, and where: tests/algorithms/test_depthwise_staged.py.
NOT_SHAPES |= {"serves", "box", "staged"}
# How much depthwise_lanes takes, and when it serves: tests/algorithms/test_depthwise_lanes.py.
NOT_SHAPES |= {"taken", "run"}
# Which tile implicit_tiled takes: tests/algorithms/test_implicit_tiled.py.
NOT_SHAPES |= {"tile_of", "time", "local_bytes", "refuse_tiled", "_reach", "share_of"}
# How much pointwise and winograd take at once, and where: test_pointwise.py and test_winograd.py.
NOT_SHAPES |= {"share", "chunk", "pays", "goes_inside"}
# What states turns of loops: no result shows it. tests/algorithms/test_loops.py counts them all.
TURNS = re.compile(r"^turns$|^turns_of$|_turns$|^counting$|^_around$|^_step$")
CODE_LINES_PER_MUTANT = 14
FEWEST = 3  # of a file


@dataclass(frozen=True, slots=True)
class Mutant:
    """A file with one piece of its text, at `offset`, replaced."""

    path: str  # from the repository's root
    kind: str
    offset: int
    old: str
    new: str
    line: int
    where: str  # the line as it is
    again: int = 0  # how many like it stand before it in the file
    also: tuple[Mutant, ...] = ()  # what has to change with it, in other files

    def __str__(self) -> str:
        return (
            f"{self.id}\n  line {self.line}: {self.where.strip()}\n  {self.old!r} -> {self.new!r}"
        )

    @property
    def id(self) -> str:
        """A name that stays the same while the line does, wherever it stands."""
        told = f"{self.where.strip()}|{self.column}|{self.old}|{self.new}|{self.again}"
        return f"{self.path}:{self.kind}:{hashlib.sha256(told.encode()).hexdigest()[:8]}"

    @property
    def column(self) -> int:
        """Where in the line it is, from its first letter on."""
        text = read(self.path)
        start = text.rfind("\n", 0, self.offset) + 1
        return self.offset - start - (len(self.where) - len(self.where.lstrip()))

    def text(self) -> str:
        """Return the whole file with the fault."""
        text = read(self.path)
        assert text.startswith(self.old, self.offset)
        return text[: self.offset] + self.new + text[self.offset + len(self.old) :]


def read(path: str) -> str:
    """Return a file of the repository."""
    return (ROOT / path).read_text(encoding="utf-8")


def files() -> list[str]:
    """Return every file that has mutants."""
    found = sorted([*ROOT.glob(f"{KERNELS}/**/*.cl"), *ROOT.glob(f"{KERNELS}/**/*.clh")])
    for pattern in HOST:
        found += sorted(ROOT.glob(pattern))
    names = (str(path.relative_to(ROOT)) for path in found if path.name != "__init__.py")
    return [name for name in names if name not in NOT_HOST]


def named() -> list[Mutant]:
    """Return the mutants written by hand."""
    given = tomllib.loads(BY_HAND.read_text(encoding="utf-8"))["mutant"]
    return [replace(_by_hand(m), also=tuple(map(_by_hand, m.get("also", ())))) for m in given]


def _by_hand(m: dict[str, Any]) -> Mutant:
    place = _place(m["path"], m["old"])
    return _made(m["path"], m.get("kind", ""), place, m["old"], m["new"])


def _place(path: str, old: str) -> int:
    text = read(path)
    if text.count(old) != 1:
        raise ValueError(f"{old!r} stands {text.count(old)} times in {path}, not once")
    return text.index(old)


def _made(path: str, kind: str, offset: int, old: str, new: str) -> Mutant:
    text = read(path)
    start, end = text.rfind("\n", 0, offset) + 1, text.find("\n", offset)
    where = text[start : end if end >= 0 else None]
    again = text[:start].count(f"{where}\n")
    return Mutant(path, kind, offset, old, new, text.count("\n", 0, offset) + 1, where, again)


@cache
def candidates(path: str) -> list[Mutant]:
    """Return all mutants of a file by the rules, in a fixed order in which the kinds take turns.

    The order within a kind is that of the mutants' hashes: a sample is as good as drawn by chance,
    and stays what it is while the lines do.
    """
    rules = KERNEL_RULES if path.startswith(KERNELS) else HOST_RULES
    kinds: dict[str, dict[str, Mutant]] = {}
    for rule in rules:
        kinds.setdefault(rule.kind, {}).update((m.id, m) for m in _of_rule(path, rule))
    in_order = (sorted(kinds[kind].values(), key=lambda m: m.id[-8:]) for kind in sorted(kinds))
    turns = zip_longest(*in_order)
    return [mutant for turn in turns for mutant in turn if mutant is not None]


def wanted(path: str) -> int:
    """Return how many of them are drawn."""
    code = _bare(path)
    lines = sum(bool(line.strip()) for line in code.splitlines())
    return max(FEWEST, lines // CODE_LINES_PER_MUTANT)


def _of_rule(path: str, rule: Rule) -> Iterator[Mutant]:
    code = _bare(path)
    for match in rule.pattern.finditer(code):
        new = match.expand(rule.replacement)
        mutant = _made(path, rule.kind, match.start(), match[0], new)
        if new != match[0] and (path.endswith((".cl", ".clh")) or _compiles(mutant)):
            yield mutant


def _compiles(mutant: Mutant) -> bool:
    try:
        compile(mutant.text(), mutant.path, "exec")
    except SyntaxError:
        return False
    return True


def _bare(path: str) -> str:
    """Return a file with blanks for all that is no code: comments, text, directives, validation."""
    text = read(path)
    return _bare_kernel(text) if path.startswith(KERNELS) else _bare_host(text)


def _blank(match: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", match[0])


def _bare_kernel(text: str) -> str:
    text = re.sub(r"/\*.*?\*/", _blank, text, flags=re.DOTALL)
    directives = r"^#(include|pragma|ifndef|define (CLCONV_|PASTE)).*$"
    return re.sub(directives, _blank, text, flags=re.MULTILINE)


def _bare_host(text: str) -> str:
    lines = [list(line) for line in text.splitlines(keepends=True)]
    kept = {number for first, last in functions(text) for number in range(first, last + 1)}
    kept -= set(_stating_turns(text))
    for number, line in enumerate(lines, 1):
        if number not in kept:
            line[:] = [c if c == "\n" else " " for c in line]
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in (tokenize.STRING, tokenize.COMMENT):
            for number in range(token.start[0], token.end[0] + 1):
                start = token.start[1] if number == token.start[0] else 0
                row = lines[number - 1]
                end = token.end[1] if number == token.end[0] else len(row)
                row[start:end] = [c if c == "\n" else " " for c in row[start:end]]
    return "".join("".join(line) for line in lines)


def functions(text: str) -> Iterator[tuple[int, int]]:
    """Yield first and last line of the bodies of a module's functions that compute shapes."""
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.FunctionDef) or node.name in NOT_SHAPES:
            continue
        if not TURNS.search(node.name):
            assert node.end_lineno is not None
            yield node.body[0].lineno, node.end_lineno


def _stating_turns(text: str) -> Iterator[int]:
    """Yield the lines of assignments and arguments that say how often loops turn."""
    for node in ast.walk(ast.parse(text)):
        name = ""
        if isinstance(node, ast.keyword):
            name = node.arg or ""
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
        if TURNS.search(name):
            assert isinstance(node, ast.keyword | ast.Assign)
            assert node.end_lineno is not None
            yield from range(node.lineno, node.end_lineno + 1)
