"""Which theme a piece of content belongs to: seeds that a team names, clusters for the rest.

Titles and URLs become TF-IDF vectors of unit length. A theme is a centroid, or several where a
person merged some; content belongs to the theme of greatest cosine similarity, and to none where
that is below `LEAST_SIMILARITY`: what is like nothing else is no theme of its own.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from intentcast.features.theme_names import Theme, apply_names, name_clusters
from intentcast.features.theme_text import (
    Floats,
    spellings,
    unit,
    vectors,
    weigh_words,
    words,
)

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

# Part of what a stored model means: see docs/themes.md for how it was chosen.
LEAST_SIMILARITY = 0.15
_MAX_FITTED = 20_000
_EXAMPLES = 5
_STARTS = 10


@dataclass(frozen=True)
class ThemeModel:
    """Fitted themes.

    Attributes:
        names: Shape (n_themes,); seeds first, then clusters by falling size.
        vocabulary: Known words, shape (n_words,).
        idf: Inverse document frequency of each, `log((1 + n) / (1 + df)) + 1`.
        centroids: Unit vectors, shape (n_centroids, n_words).
        examples: Per theme, some of its titles.
        owners: The theme of each centroid, shape (n_centroids,); empty where each theme has one.
    """

    names: tuple[str, ...]
    vocabulary: tuple[str, ...]
    idf: Floats
    centroids: Floats
    examples: tuple[tuple[str, ...], ...] = ()
    owners: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.owners and set(self.owners) != set(range(len(self.names))):
            raise ValueError(f"centroids of {len(set(self.owners))} of {len(self.names)} themes")

    @cached_property
    def _index(self) -> dict[str, int]:
        return {word: i for i, word in enumerate(self.vocabulary)}

    @cached_property
    def _weights(self) -> list[float]:
        weights: list[float] = self.idf.tolist()
        return weights

    @cached_property
    def _pulls(self) -> Floats:
        """How strongly each word pulls towards each centroid, one row per word."""
        return np.ascontiguousarray(self.centroids.T * self.idf[:, None])

    def assign(self, contents: Sequence[str | None]) -> list[int]:
        """Return each content's theme number; `n_themes` where none fits, −1 for no content."""
        return [-1 if text is None else self._nearest(text) for text in contents]

    def _nearest(self, text: str) -> int:
        none = len(self.names)
        # Row by row in a fixed order: the same text has the same theme in any batch, anywhere.
        known = sorted(i for word in words(text) if (i := self._index.get(word)) is not None)
        if not known or not none:
            return none
        similarity = self._pulls[known].sum(axis=0)
        best = int(similarity.argmax())
        is_near = float(similarity[best]) >= LEAST_SIMILARITY * self._length(known)
        if not is_near:
            return none
        return self.owners[best] if self.owners else best

    def _length(self, known: list[int]) -> float:
        once = dict.fromkeys(known)
        return math.sqrt(sum([(known.count(i) * self._weights[i]) ** 2 for i in once]))


def fit_themes(
    contents: Mapping[str, int],
    *,
    seeds: Mapping[str, str],
    n_clusters: int,
    seed: int,
    renames: Mapping[str, str] | None = None,
    merges: Mapping[str, Sequence[str]] | None = None,
) -> ThemeModel:
    """Fit themes on the content of training time.

    A seed claims every title that shares a word with its phrase or its name, most of all the one
    whose cosine similarity is greatest; the rest is clustered. Renaming and merging change no
    centroid.

    Args:
        contents: Title or URL, and how many events it had.
        seeds: Theme name and a phrase that describes it.
        n_clusters: At most this many themes for what the seeds do not describe.
        seed: Of the clustering's starting points.
        renames: A theme's name and what to call it instead; see `apply_names`.
        merges: A name and the themes that it stands for.

    Returns:
        The themes; the same contents, in any order, give the same themes.

    Raises:
        ConfigError: If `renames` or `merges` name what cannot be told apart or does not exist.
    """
    titles = sorted(contents, key=lambda title: (-contents[title], title))[:_MAX_FITTED]
    titles.sort()
    documents = [words(title) for title in titles]
    # The name counts beside the phrase: a word in both counts twice.
    phrases = {name: words(phrase) + words(name) for name, phrase in seeds.items()}
    vocabulary, idf = weigh_words([*documents, *phrases.values()])
    index = {word: i for i, word in enumerate(vocabulary)}
    rows = vectors(documents, index, idf)
    centroids, rest = _seeded(rows, vectors(list(phrases.values()), index, idf).toarray())
    themes = [
        Theme(name, (centroid,), is_seed=True)
        for name, centroid in zip(phrases, centroids, strict=True)
    ]
    clusters = _clusters(rows[rest], n_clusters, seed)
    themes += name_clusters(clusters, vocabulary, spelt=spellings(titles), used=list(phrases))
    model = _model(themes, vocabulary, idf)
    # A cluster of titles that are too unlike each other holds none of them.
    held = set(model.assign(titles))
    themes = [theme for i, theme in enumerate(themes) if theme.is_seed or i in held]
    themes = apply_names(
        themes, renames=renames or {}, merges=merges or {}, vocabulary=vocabulary, idf=idf
    )
    model = _model(themes, vocabulary, idf)
    return replace(model, examples=_examples(model, titles, contents))


def _seeded(rows: "csr_matrix", phrases: Floats) -> tuple[list[Floats], list[int]]:
    """Return each seed's centroid, and the titles that share a word with none.

    A centroid is half its phrase, half the titles that it claims.
    """
    similarity = rows @ phrases.T
    best = similarity.argmax(axis=1) if len(phrases) else np.zeros(rows.shape[0], dtype=np.int64)
    claimed = similarity.max(axis=1, initial=0.0) > 0.0
    centroids = []
    for theme, phrase in enumerate(phrases):
        members = rows[np.flatnonzero(claimed & (best == theme))]
        mean = unit(np.asarray(members.sum(axis=0)).ravel())
        centroids.append(np.round(unit(phrase + mean), 9))
    has_words = np.diff(rows.indptr) > 0
    return centroids, np.flatnonzero(~claimed & has_words).tolist()


def _clusters(rows: "csr_matrix", n_clusters: int, seed: int) -> list[Floats]:
    """Return the centroids of the clusters of titles, largest first."""
    # No more clusters than there are different titles to tell apart.
    different = {(row.indices.tobytes(), row.data.tobytes()) for row in rows}
    n_clusters = min(n_clusters, rows.shape[0] // 3, len(different))
    if n_clusters < 1:
        return []
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    # One thread: sums in a fixed order, so that the machine's cores cannot change a theme.
    with threadpool_limits(limits=1):
        model = KMeans(n_clusters, n_init=_STARTS, random_state=seed).fit(rows)
    sizes = np.bincount(model.labels_, minlength=n_clusters)
    order = sorted(range(n_clusters), key=lambda c: (-sizes[c], c))
    return [np.round(unit(np.asarray(model.cluster_centers_[c])), 9) for c in order]


def _model(themes: Sequence[Theme], vocabulary: Sequence[str], idf: Floats) -> ThemeModel:
    owners = tuple(i for i, theme in enumerate(themes) for _ in theme.centroids)
    centroids = [centroid for theme in themes for centroid in theme.centroids]
    matrix = np.array(centroids, dtype=np.float64).reshape(len(centroids), len(vocabulary))
    names = tuple(theme.name for theme in themes)
    # Where no theme was merged, nothing has to say whose a centroid is.
    owners = () if len(owners) == len(names) else owners
    return ThemeModel(names, tuple(vocabulary), idf, matrix, owners=owners)


def _examples(
    model: ThemeModel, titles: Sequence[str], contents: Mapping[str, int]
) -> tuple[tuple[str, ...], ...]:
    found: list[list[str]] = [[] for _ in range(len(model.names) + 1)]
    ranked = sorted(titles, key=lambda title: (-contents[title], title))
    for title, theme in zip(ranked, model.assign(ranked), strict=True):
        if len(found[theme]) < _EXAMPLES:
            found[theme].append(title)
    return tuple(tuple(titles) for titles in found[: len(model.names)])
