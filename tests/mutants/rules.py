"""General rules that make faults: what is looked for in the code, and what stands there instead."""

from __future__ import annotations

import re
from typing import NamedTuple


class Rule(NamedTuple):
    """A kind of fault; `replacement` as `re.sub` takes it."""

    kind: str
    pattern: re.Pattern[str]
    replacement: str


def _rule(kind: str, pattern: str, replacement: str) -> Rule:
    return Rule(kind, re.compile(pattern, re.MULTILINE), replacement)


def _each(kind: str, *pairs: tuple[str, str]) -> tuple[Rule, ...]:
    return tuple(_rule(kind, pattern, replacement) for pattern, replacement in pairs)


_BOUNDS = _each(
    "bound",  # off by one: < for <= and back
    (r"(?<= )<(?= )", "<="),
    (r"(?<= )<=(?= )", "<"),
    (r"(?<= )>(?= )", ">="),
    (r"(?<= )>=(?= )", ">"),
)
_ARITHMETIC = _each(
    "arithmetic",
    (r"(?<= )\+(?= )", "-"),
    (r"(?<= )-(?= )", "+"),
    (r"(?<=[\w)\]]) ?(?<!\*)\*(?!\*) ?(?=[\w(])(?!REAL|\bconst)", " + "),
    (r"(?<= )%(?= )", "/"),
)
_EXTREMES = _each("extreme", (r"\bmin\(", "max("), (r"\bmax\(", "min("))
_COMPARISONS = _each("comparison", (r"(?<= )==(?= )", "!="), (r"(?<= )!=(?= )", "=="))

KERNEL_RULES: tuple[Rule, ...] = (
    *_BOUNDS,
    *_ARITHMETIC,
    *_EXTREMES,
    *_COMPARISONS,
    *_each("logic", (r"&&", "||"), (r"\|\|", "&&"), (r"!(?=[a-z(])", "")),
    *_each(
        "off_by_one",
        (r"(?<= = )0(?=;)", "1"),
        (r" - 1\b", ""),
        (r" \+ 1\b", ""),
        (r"(?<= )\+= ", "= "),
    ),
    *_each(
        "axis",  # swapped strides and axes
        (r"\.h\b", ".w"),
        (r"\.w\b", ".h"),
        (r"\.d\b", ".h"),
        (r"\b([IOQFSDP])H\b(?!,)", r"\1W"),
        (r"\b([IOQFSDP])W\b(?!,)", r"\1H"),
        (r"\b(stride|spread|low)_h\b(?!,)", r"\1_w"),
        (r"\bget_global_id\(0\)", "get_global_id(1)"),
        (r"\bget_global_id\(1\)", "get_global_id(0)"),
        (r"\bget_global_id\(2\)", "get_global_id(1)"),
    ),
    *_each("dilation", (r"\*(win\.)?dilation(\.\w)?\b", ""), (r"\*D[DHW]\b", "")),
    *_each("stride", (r"\*(win\.)?stride(\.\w)?\b", ""), (r"[*/]S[DHW]\b", "")),
    *_each("padding", (r" [-+] (win\.)?pad\.\w\b", ""), (r" [-+] (P[DHW]|low_\w)\b", "")),
    *_each(
        "group",  # a wrong offset of a group, a plane or an image
        (r"\bplane\*", "0*"),
        (r"\bg\*", "0*"),
        (r"\bb\*", "0*"),
        (r"\bo/(Og|M)\b", "o"),
        (r"\+ g\)", ")"),
        (r"(?<=[( ])first \+ ", ""),
    ),
    *_each(
        "macro",  # the wrong branch
        (r"^#if ([A-Z]+) == (\d)", r"#if \1 != \2"),
        (r"^#if ([A-Z]+)$", r"#if !\1"),
    ),
    *_each("sign", (r"(?<=[ (])-(?=[a-zA-Z(])", "")),
    *_each("choice", (r" \? ([\w.]+) : ([\w.()]+)(?=[;,)])", r" ? \2 : \1")),
    *_each("early_exit", (r"^( +)(continue|return);", r"\1;")),
    *_each("barrier", (r"\bbarrier\([^;]*\);", ";")),  # no kernel has one yet
)

HOST_RULES: tuple[Rule, ...] = (
    *_BOUNDS,
    *_ARITHMETIC,
    *_EXTREMES,
    *_COMPARISONS,
    *_each("division", (r"(?<= )//(?= )", "*")),
    *_each("logic", (r"\band\b", "or"), (r"\bor\b", "and"), (r"\bnot (?=[\w(])", "")),
    *_each("off_by_one", (r"(?<=[ (])0(?=[,)])", "1"), (r" - 1\b", ""), (r" \+ 1\b", "")),
    *_each("axis", (r"\[0\]", "[1]"), (r"\[1\]", "[0]"), (r"\[:-1\]", "[1:]")),
    *_each(
        "size",  # one size for another
        (r"\.pixels\b", ".positions"),
        (r"\.positions\b", ".pixels"),
        (r"\.input\b", ".output"),
        (r"\.output\b", ".input"),
        (r"\bgroup_channels\b", "group_outputs"),
        (r"\bgroup_outputs\b", "group_channels"),
        (r"\.channels\b", ".outputs"),
        (r"\.outputs\b", ".channels"),
        (r"\.stride\b", ".dilation"),
        (r"\.dilation\b", ".stride"),
        (r"\bself\.taps\b", "self.positions"),
        (r"\btile\.mr\b", "tile.nr"),
        (r"\btile\.nr\b", "tile.mr"),
    ),
    *_each(
        "offset",  # a chunk, an image or a group that begins in the wrong place
        (r"\bfirst=first\b", "first=0"),
        (r"\bfirst, count\b(?=\)|,)", "0, count"),
        (r"(?<=[ (])first(?= \*)", "0"),
        (r"(?<=[ (])skip(?= \*)", "0"),
        (r" \+ chunk\.first_window", ""),
    ),
    *_each("flag", (r"\bint\(p\.(flip|bias)\)", "0"), (r"\bp\.bias\b", "False")),
)
