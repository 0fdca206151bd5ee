"""Which theme a piece of content belongs to: seeds that a team names, clusters for the rest.

Titles and URLs become TF-IDF vectors of unit length; a theme is a centroid; content belongs to the
theme of greatest cosine similarity, or to none where it shares no known word with any.
"""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

_WORD = re.compile(r"[^\W\d_]{2,}")
_COMMON = """
a an and are as at be by for from how in into is it its of on or our set so that the this to up we
what when where which who why will with you your www http https com html php pdf
"""
_STOP = frozenset(_COMMON.split())
_MAX_WORDS = 4000
_MAX_FITTED = 20_000
_SEED_SIMILARITY = 0.12


def words(text: str) -> list[str]:
    """Return a title's or URL's words, lower-case, without plural s and the commonest words."""
    found = _WORD.findall(text.lower())
    return [_stem(word) for word in found if word not in _STOP]


def _stem(word: str) -> str:
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    is_plural = len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is"))
    return word[:-1] if is_plural else word


@dataclass(frozen=True)
class ThemeModel:
    """Fitted themes.

    Attributes:
        names: Shape (n_themes,); seeds first, then clusters by falling size.
        vocabulary: Known words, shape (n_words,).
        idf: Inverse document frequency of each, `log((1 + n) / (1 + df)) + 1`.
        centroids: Unit vectors, shape (n_themes, n_words).
        examples: Per theme, some of its titles.
    """

    names: tuple[str, ...]
    vocabulary: tuple[str, ...]
    idf: NDArray[np.float64]
    centroids: NDArray[np.float64]
    examples: tuple[tuple[str, ...], ...] = ()
    _index: Mapping[str, int] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        index = {word: i for i, word in enumerate(self.vocabulary)}
        object.__setattr__(self, "_index", index)

    def assign(self, contents: Sequence[str | None]) -> list[int]:
        """Return each content's theme number; `n_themes` where none fits, −1 for no content."""
        none = len(self.names)
        return [-1 if text is None else self._nearest(text, none) for text in contents]

    def _nearest(self, text: str, none: int) -> int:
        counts = Counter(i for w in words(text) if (i := self._index.get(w)) is not None)
        if not counts or not none:
            return none
        # Word by word in a fixed order: the same text has the same theme in any batch.
        known = sorted(counts)
        similarity = self.centroids[:, known] @ np.array(
            [counts[i] * self.idf[i] for i in known], dtype=np.float64
        )
        best = int(np.argmax(similarity))
        return best if similarity[best] > 0.0 else none


def fit_themes(
    contents: Mapping[str, int], *, seeds: Mapping[str, str], n_clusters: int, seed: int
) -> ThemeModel:
    """Fit themes on the content of training time.

    Args:
        contents: Title or URL, and how many events it had.
        seeds: Theme name and a phrase that describes it.
        n_clusters: At most this many themes for what the seeds do not describe.
        seed: Of the clustering's starting points.

    Returns:
        The themes; the same contents, in any order, give the same themes.
    """
    titles = sorted(contents, key=lambda title: (-contents[title], title))[:_MAX_FITTED]
    titles.sort()
    documents = [words(title) for title in titles]
    phrases = {name: words(phrase) + words(name) for name, phrase in seeds.items()}
    vocabulary, idf = _vocabulary([*documents, *phrases.values()])
    index = {word: i for i, word in enumerate(vocabulary)}
    seed_vectors = np.array([_vector(p, index, idf) for p in phrases.values()]).reshape(
        len(phrases), len(vocabulary)
    )
    assigned, rest = _by_seed(documents, index, idf, seed_vectors)
    centroids = list(_recentred(documents, index, idf, seed_vectors, assigned))
    names = list(phrases)
    used = set(names)
    # No more clusters than there are different titles to tell apart.
    rest = [i for i in rest if documents[i]]
    n_different = len({tuple(sorted(documents[i])) for i in rest})
    n_clusters = min(n_clusters, len(rest) // 3, n_different)
    if n_clusters >= 1:
        for centroid in _clusters([documents[i] for i in rest], index, idf, n_clusters, seed):
            name = _name(centroid, vocabulary, used)
            used.add(name)
            names.append(name)
            centroids.append(centroid)
    matrix = np.array(centroids, dtype=np.float64).reshape(len(names), len(vocabulary))
    model = ThemeModel(tuple(names), tuple(vocabulary), idf, matrix)
    return ThemeModel(
        model.names, model.vocabulary, idf, matrix, _examples(model, titles, contents)
    )


def _vocabulary(documents: list[list[str]]) -> tuple[list[str], NDArray[np.float64]]:
    frequency = Counter(word for document in documents for word in set(document))
    common = sorted(frequency, key=lambda word: (-frequency[word], word))[:_MAX_WORDS]
    vocabulary = sorted(common)
    n = len(documents)
    idf = [math.log((1 + n) / (1 + frequency[word])) + 1.0 for word in vocabulary]
    return vocabulary, np.array(idf, dtype=np.float64)


def _vector(
    document: list[str], index: Mapping[str, int], idf: NDArray[np.float64]
) -> NDArray[np.float64]:
    vector = np.zeros(len(idf))
    for word in document:
        if word in index:
            vector[index[word]] += idf[index[word]]
    return _unit(vector)


def _unit(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    length = math.sqrt(float((vector * vector).sum()))
    return vector / length if length else vector


def _by_seed(
    documents: list[list[str]],
    index: Mapping[str, int],
    idf: NDArray[np.float64],
    seed_vectors: NDArray[np.float64],
) -> tuple[dict[int, int], list[int]]:
    """Return the documents that a seed phrase describes, and those that none does."""
    assigned: dict[int, int] = {}
    rest = []
    for i, document in enumerate(documents):
        similarity = seed_vectors @ _vector(document, index, idf)
        if len(similarity) and similarity.max() >= _SEED_SIMILARITY:
            assigned[i] = int(similarity.argmax())
        else:
            rest.append(i)
    return assigned, rest


def _recentred(
    documents: list[list[str]],
    index: Mapping[str, int],
    idf: NDArray[np.float64],
    seed_vectors: NDArray[np.float64],
    assigned: Mapping[int, int],
) -> list[NDArray[np.float64]]:
    """Return each seed's centroid: half its phrase, half the titles that it describes."""
    centroids = []
    for theme, vector in enumerate(seed_vectors):
        members = [_vector(documents[i], index, idf) for i, t in assigned.items() if t == theme]
        mean = _unit(np.sum(members, axis=0)) if members else vector
        centroids.append(np.round(_unit(vector + mean), 9))
    return centroids


def _clusters(
    documents: list[list[str]],
    index: Mapping[str, int],
    idf: NDArray[np.float64],
    n_clusters: int,
    seed: int,
) -> list[NDArray[np.float64]]:
    from scipy import sparse
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    rows = [sparse.csr_matrix(_vector(document, index, idf)) for document in documents]
    vectors = sparse.vstack(rows).tocsr()
    # One thread: sums in a fixed order, so that the machine's cores cannot change a theme.
    with threadpool_limits(limits=1):
        model = KMeans(n_clusters, n_init=4, random_state=seed).fit(vectors)
    sizes = np.bincount(model.labels_, minlength=n_clusters)
    order = sorted(range(n_clusters), key=lambda c: (-sizes[c], c))
    return [np.round(_unit(np.asarray(model.cluster_centers_[c])), 9) for c in order]


def _name(centroid: NDArray[np.float64], vocabulary: Sequence[str], used: set[str]) -> str:
    top = [vocabulary[i] for i in np.argsort(-centroid, kind="stable")[:3] if centroid[i] > 0]
    name = "-".join(top) or "unnamed"
    number = 2
    while name in used:
        name = f"{'-'.join(top) or 'unnamed'}-{number}"
        number += 1
    return name


def _examples(
    model: ThemeModel, titles: list[str], contents: Mapping[str, int]
) -> tuple[tuple[str, ...], ...]:
    found: list[list[str]] = [[] for _ in range(len(model.names) + 1)]
    ranked = sorted(titles, key=lambda title: (-contents[title], title))
    for title, theme in zip(ranked, model.assign(ranked), strict=True):
        if len(found[theme]) < 5:
            found[theme].append(title)
    return tuple(tuple(titles) for titles in found[: len(model.names)])
