"""Titles and URLs as words in any script, and as weighted vectors of unit length."""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Floats = NDArray[np.float64]

_WORD = re.compile(r"[^\W\d_]{2,}")
_ENCODED = re.compile(r"%[0-9A-Fa-f]{2}")
# Scripts that put no space between words: Thai to Burmese, Khmer, kana, and Chinese characters.
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]+")
_COMMON = """
a an and are as at be by for from how in into is it its of on or our set so that the this to up we
what when where which who why will with you your www http https com html php pdf
"""
_STOP = frozenset(_COMMON.split())
_MAX_WORDS = 4000


def words(text: str) -> list[str]:
    """Return a title's or URL's words, lower-case, without plural s and the commonest words.

    Letters with their accents count however they were typed or percent-encoded. Where a script
    has no spaces, each two neighbouring characters are a word.
    """
    return [_stem(word) for word in _spelt(text)]


def spellings(titles: Iterable[str]) -> dict[str, str]:
    """Return how each word is spelt most often: `christmas` for the word that lost its s."""
    counts = Counter(word for title in titles for word in _spelt(title))
    ranked = sorted(counts, key=lambda word: (counts[word], word))
    return {_stem(word): word for word in ranked}


def _spelt(text: str) -> list[str]:
    if "%" in text and " " not in text and _ENCODED.search(text):
        text = unquote(text)
    found = _WORD.findall(text.lower()) if text.isascii() else _any_script(text)
    return [word for word in found if word not in _STOP]


def _any_script(text: str) -> list[str]:
    text = unicodedata.normalize("NFKC", text).casefold()
    # Vowel signs and accents that stand on their own belong to the letter before them.
    kept = [c if c.isalpha() or unicodedata.category(c)[0] == "M" else " " for c in text]
    found: list[str] = []
    for run in "".join(kept).split():
        at = 0
        for unspaced in _UNSPACED.finditer(run):
            found += [run[at : unspaced.start()], *_pairs(unspaced.group())]
            at = unspaced.end()
        found.append(run[at:])
    return [word for word in found if len(word) > 1 or _UNSPACED.match(word)]


def _pairs(run: str) -> list[str]:
    return [run[i : i + 2] for i in range(max(len(run) - 1, 1))]


def _stem(word: str) -> str:
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    is_plural = len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is"))
    return word[:-1] if is_plural else word


def weigh_words(documents: Sequence[Sequence[str]]) -> tuple[list[str], Floats]:
    """Return the vocabulary, the commonest words in order of name, and each one's weight.

    The weight is the inverse document frequency `log((1 + n) / (1 + df)) + 1`.
    """
    frequency = Counter(word for document in documents for word in set(document))
    common = sorted(frequency, key=lambda word: (-frequency[word], word))[:_MAX_WORDS]
    vocabulary = sorted(common)
    n = len(documents)
    idf = [math.log((1 + n) / (1 + frequency[word])) + 1.0 for word in vocabulary]
    return vocabulary, np.array(idf, dtype=np.float64)


def vectors(
    documents: Sequence[Sequence[str]], index: Mapping[str, int], idf: Floats
) -> "csr_matrix":
    """Return the texts' vectors as a sparse matrix, shape (n, n_words)."""
    from scipy.sparse import csr_matrix

    starts, columns, values = [0], [], []
    for document in documents:
        counts = Counter(index[word] for word in document if word in index)
        known = sorted(counts)
        weights = [counts[i] * float(idf[i]) for i in known]
        length = math.sqrt(math.fsum(w * w for w in weights))
        columns += known
        values += [w / length for w in weights]
        starts.append(len(columns))
    return csr_matrix(
        (np.array(values), np.array(columns, dtype=np.int64), starts),
        shape=(len(documents), len(idf)),
    )


def unit(values: Floats) -> Floats:
    """Return a vector at length 1; zero stays zero."""
    length = math.sqrt(float((values * values).sum()))
    return values / length if length else values
