"""The words of captions, counted and cut in any script.

What stands between white space is a word. Scripts that are written without blanks have words of their own: each
Chinese or Japanese sign is one, and so are five letters of Thai, Lao, Burmese or Khmer, with the marks behind them.
"""

import re

__all__ = ["count_words", "cut_words", "split_words"]

_SIGNS = "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_LETTERS = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
_WIDE = "\u3001-\u3004\u3008-\u303f\uff00-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65"  # punctuation of signs
_BEHIND = f"[!-/:-@\\[-`{{-~{_WIDE}]*"  # punctuation belongs to the sign before it
_OTHER = f"[{_WIDE}]*[^\\s{_SIGNS}{_LETTERS}{_WIDE}][^\\s{_SIGNS}{_LETTERS}]*"
_WORD = re.compile(f"[{_SIGNS}]{_BEHIND}|[{_LETTERS}]{{1,5}}{_BEHIND}|{_OTHER}")
_CLOSING = "[\"'\u201d\u2019\u300d\u300f\uff09)\\]]*"
_SENTENCE = re.compile(f"[.!?\u2026]+{_CLOSING}(?=\\s|$)|[\u3002\uff01\uff1f]+{_CLOSING}")
_SHORT = re.compile(r"(?:\b(?:Dr|Mr|Mrs|Ms|St|Mt|vs|No|Vol|Pt|Jr|Sr|Prof|feat|ft|[A-Z])|\b[a-z]\.[a-z])\.$")


def split_words(text: str) -> list[str]:
    """The words of a text with the punctuation that belongs to them."""
    return _WORD.findall(text)


def count_words(text: str) -> int:
    """How many words a text has."""
    return len(split_words(text))


def cut_words(text: str, limit: int) -> str:
    """The text up to the last end of a sentence within ``limit`` words (from 1), or else its first ``limit`` words.

    The point of "Dr." or of an initial ends no sentence.
    """
    ends = [word.end() for word in _WORD.finditer(text)]
    if len(ends) <= limit:
        return text
    end = ends[limit - 1]
    sentences = [s.end() for s in _SENTENCE.finditer(text) if s.end() <= end and not _SHORT.search(text[: s.end()])]
    return text[: sentences[-1]] if sentences else text[:end].rstrip(" ,;:-\u2013\u2014\uff0c\u3001\uff1b\uff1a")
