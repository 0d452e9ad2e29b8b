"""A paragraph's text with its marks as Markdown.

The hard part is emphasis: ``**`` and ``_`` open or close something only beside the right kind of
character. So spaces are moved out of marks, italics use ``_`` so that no two delimiters of a kind meet, and
where a letter or symbol outside is still in the way, it is written as a character reference.
Source: https://spec.commonmark.org/0.31.2/#emphasis-and-strong-emphasis.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, groupby, takewhile
from typing import Final, Literal

from .prose import Break, Image, Inline, Link, Mark, Span, joined

DELIMITERS: Final[dict[Mark, str]] = {"bold": "**", "italic": "_", "strike": "~~"}
"""From the outermost to the innermost. Code is inside them all."""

_SAYABLE: Final[frozenset[Mark]] = frozenset({*DELIMITERS, "code"})

_LAST_OF_PLANES = "".join(
    chr(plane + last) for plane in range(0, 0x110000, 0x10000) for last in (0xFFFE, 0xFFFF)
)
_NO_CHARACTERS = re.compile(rf"[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\ufdd0-\ufdef{_LAST_OF_PLANES}]")
"""Controls (but white space) and noncharacters, which can neither be shown nor written as references."""
_SPACES = re.compile(r"(\s+)")
_LINE_ENDS = re.compile(r"[\n\r\v\f\x1c-\x1f\x85\u2028\u2029]")
_BACKTICKS = re.compile(r"`+")
_SPECIAL = re.compile(
    r"""[\\`*\[\]~]
    | (?<![0-9A-Za-z][0-9A-Za-z])_ | _(?![0-9A-Za-z][0-9A-Za-z])  # not those within long_words
    | <(?=[A-Za-z/!?])
    | &(?=[#A-Za-z])""",
    re.VERBOSE,
)
_AT_LINE_START = re.compile(r"[=>|]|\#{1,6}(?=\s|\Z)|[-+](?=[\s|:-]|\Z)|:(?=[-|]|\Z)")
_NUMBER = re.compile(r"(\d{1,9})([.)])(?=\s|\Z)", re.ASCII)
_SPECIAL_IN_URL = re.compile(r"[\\<>`]")
_ENTITY = re.compile(r"&(?=#?[0-9A-Za-z]+;)")
_SPECIAL_IN_TITLE = re.compile(r"[\\\"`<&]")


Style = Link | Mark


@dataclass(slots=True)
class _Token:
    """A word, spaces, a line break, or what is written already (``raw``)."""

    kind: Literal["word", "space", "break", "raw"]
    text: str
    styles: list[Style]
    """What is around it, from the outermost to the innermost."""

    @property
    def is_gap(self) -> bool:
        return self.kind in ("space", "break")

    @property
    def becomes(self) -> Literal["text", "raw"]:
        return "text" if self.kind in ("word", "space") else "raw"


@dataclass(slots=True)
class _Piece:
    """Text still to be escaped, a delimiter that opens or closes, or what is written already."""

    kind: Literal["text", "open", "close", "raw"]
    text: str
    encodes_first: bool = False
    encodes_last: bool = False

    @property
    def first(self) -> str:
        return "&" if self.encodes_first else self.text[0]

    @property
    def last(self) -> str:
        return ";" if self.encodes_last else self.text[-1]


def inline_markdown(content: Iterable[Inline]) -> list[str]:
    """The content as lines of a Markdown paragraph; none if there is nothing to see in it."""
    pieces = _pieces(_settled(_tokens(joined(map(_sayable, content)))))
    _fit_delimiters(pieces)
    text = "".join(_written(pieces))
    return text.split("\n") if text else []


def one_line(content: Iterable[Inline]) -> str:
    """The same on one line, with spaces for line breaks."""
    spaced = [Span(" ") if isinstance(inline, Break) else inline for inline in content]
    return "".join(inline_markdown(spaced))


def _sayable(inline: Inline) -> Inline:
    if isinstance(inline, Span):
        return Span(inline.text, inline.marks & _SAYABLE, inline.link)
    return inline


def _tokens(content: Iterable[Inline]) -> Iterator[_Token]:
    for inline in content:
        match inline:
            case Break():
                yield _Token("break", "\\\n", [])
            case Image("", alt, _, link):
                yield from _words(alt, _styles(frozenset(), link))
            case Image(src, alt, title, link):
                image = f"![{_escape(_LINE_ENDS.sub(' ', alt))}]({_target(src, title)})"
                yield _Token("raw", image, _styles(frozenset(), link))
            case Span(text, marks, link) if "code" in marks:
                yield _Token("raw", _code(text), _styles(marks, link))
            case Span(text, marks, link):
                yield from _words(text, _styles(marks, link))


def _styles(marks: frozenset[Mark], link: Link | None) -> list[Style]:
    styles: list[Style] = [link] if link else []
    return styles + [mark for mark in DELIMITERS if mark in marks]


def _words(text: str, styles: list[Style]) -> Iterator[_Token]:
    for part in _SPACES.split(_NO_CHARACTERS.sub("\N{REPLACEMENT CHARACTER}", text)):
        if part.isspace():
            yield _Token("space", _LINE_ENDS.sub(" ", part), styles)
        elif part:
            yield _Token("word", part, styles)


def _code(text: str) -> str:
    text = _LINE_ENDS.sub(" ", text)
    lengths = {len(run) for run in _BACKTICKS.findall(text)}
    fence = "`" * next(length for length in count(1) if length not in lengths)
    # One space is taken away from each end if both have one and there is something between.
    is_padded = text[:1] == "`" or text[-1:] == "`" or (text[:1] == text[-1:] == " " and not text.isspace())
    return f"{fence} {text} {fence}" if is_padded else f"{fence}{text}{fence}"


def _target(href: str, title: str) -> str:
    href = _SPECIAL_IN_URL.sub(lambda special: f"%{ord(special[0]):02X}", href)
    href = _ENTITY.sub("&amp;", href.replace("(", "\\(").replace(")", "\\)"))
    if not title:
        return href
    return f'{href} "{_SPECIAL_IN_TITLE.sub(_behind_backslash, _LINE_ENDS.sub(" ", title))}"'


def _settled(tokens: Iterable[_Token]) -> list[_Token]:
    """The tokens without gaps at the ends, spaces beside breaks, and styles that begin or end with a gap."""
    settled: list[_Token] = []
    gaps: list[_Token] = []
    for token in tokens:
        if token.is_gap:
            gaps.append(token)
            continue
        if settled and gaps:
            settled += _between(settled[-1], gaps, token)
        gaps = []
        settled.append(token)
    return settled


def _between(before: _Token, gaps: Sequence[_Token], after: _Token) -> list[_Token]:
    """What is left of the gaps: their breaks, or one stretch of spaces, in the styles of both sides."""
    around = before.styles[: _shared(before.styles, after.styles)]
    breaks = [gap for gap in gaps if gap.kind == "break"]
    if breaks:
        return [_Token("break", gap.text, around) for gap in breaks]
    own = list(takewhile(lambda style: all(style in gap.styles for gap in gaps), around))
    return [_Token("space", "".join(gap.text for gap in gaps), own)]


def _shared(some: Sequence[Style], others: Sequence[Style]) -> int:
    """How many styles are around both."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(some, others, strict=False)))


def _pieces(tokens: Sequence[_Token]) -> list[_Piece]:
    pieces: list[_Piece] = []
    around: list[Style] = []
    for (kind, styles), alike in groupby(tokens, lambda token: (token.becomes, token.styles)):
        kept = _shared(around, styles)
        pieces += _closing(around[kept:])
        pieces += _opening(styles[kept:])
        pieces.append(_Piece(kind, "".join(token.text for token in alike)))
        around = styles
    return pieces + _closing(around)


def _opening(styles: Sequence[Style]) -> list[_Piece]:
    return [
        _Piece("raw", "[") if isinstance(style, Link) else _Piece("open", DELIMITERS[style])
        for style in styles
    ]


def _closing(styles: Sequence[Style]) -> list[_Piece]:
    return [
        _Piece("raw", f"]({_target(style.href, style.title)})")
        if isinstance(style, Link)
        else _Piece("close", DELIMITERS[style])
        for style in reversed(styles)
    ]


def _fit_delimiters(pieces: Sequence[_Piece]) -> None:
    """Encode what keeps a delimiter from opening or closing, until nothing does."""
    changed = True
    while changed:
        changed = False
        for position, piece in enumerate(pieces):
            if piece.kind == "open" and position:
                outer = pieces[position - 1]
                if _is_in_the_way(outer.last, piece.text, pieces[position + 1].first):
                    outer.encodes_last = changed = True
                    outer.encodes_first |= len(outer.text) == 1
            elif piece.kind == "close" and position + 1 < len(pieces):
                outer = pieces[position + 1]
                if _is_in_the_way(outer.first, piece.text, pieces[position - 1].last):
                    outer.encodes_first = changed = True
                    outer.encodes_last |= len(outer.text) == 1


def _is_in_the_way(outside: str, delimiter: str, inside: str) -> bool:
    """Whether the delimiter means nothing here. Only some parsers count symbols as punctuation."""
    if outside.isspace() or _is_punctuation(outside):
        return False
    return (
        delimiter == "_"
        or unicodedata.category(outside)[0] == "S"
        or _is_punctuation(inside)
        or (unicodedata.category(inside)[0] == "S")
    )


def _is_punctuation(character: str) -> bool:
    if character.isascii():
        return character.isprintable() and not character.isalnum() and character != " "
    return unicodedata.category(character)[0] == "P"


def _written(pieces: Sequence[_Piece]) -> Iterator[str]:
    starts_line = True
    for piece, following in zip(pieces, [*pieces[1:], None], strict=False):
        if piece.kind == "text":
            yield _text(piece, starts_line, following)
        else:
            yield piece.text
        starts_line = piece.text.endswith("\n")


def _text(piece: _Piece, starts_line: bool, following: _Piece | None) -> str:
    text = piece.text
    first = last = start = ""
    if piece.encodes_first:
        first, text = f"&#{ord(text[0])};", text[1:]
    elif starts_line:
        if number := _NUMBER.match(text):
            start, text = f"{number[1]}\\{number[2]}", text[number.end() :]
        elif _AT_LINE_START.match(text):
            start, text = f"\\{text[0]}", text[1:]
    if piece.encodes_last and text:
        last, text = f"&#{ord(text[-1])};", text[:-1]
    elif following is not None and text[-1:] in ("!", "<") and following.text[0] in "[!":
        last, text = f"\\{text[-1]}", text[:-1]
    return first + start + _escape(text) + last


def _escape(text: str) -> str:
    return _SPECIAL.sub(_behind_backslash, text)


def _behind_backslash(special: re.Match[str]) -> str:
    return f"\\{special[0]}"
