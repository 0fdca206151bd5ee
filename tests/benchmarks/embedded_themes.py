"""The library's way to themes, on static embeddings in the place of TF-IDF."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.cluster import KMeans

from intentcast.features.theme_text import words

N_CLUSTERS = 12
# From this similarity on a seed claims a title: the best of a grid by agreement on the sample.
CLAIMED = {"title embeddings": 0.05, "word embeddings": 0.10}
Any2D = np.ndarray[Any, np.dtype[np.float64]]


class EmbeddedThemes:
    """The library's procedure on unit vectors of whole titles, or on means of word vectors."""

    def __init__(
        self, contents: Mapping[str, int], seeds: Mapping[str, str], seed: int, variant: str
    ) -> None:
        self.variant = variant
        titles = sorted(contents)
        phrases = [f"{phrase} {name}" for name, phrase in seeds.items()]
        # What all titles share says nothing about any: their first direction is taken away.
        raw = self._raw([*titles, *phrases])
        self.common = np.linalg.svd(raw, full_matrices=False)[2][:1]
        rows, targets = self._embedded(titles), self._embedded(phrases)
        centroids, rest = [], np.ones(len(titles), dtype=bool)
        if len(targets):
            similarity = rows @ targets.T
            claimed = similarity.max(axis=1) >= CLAIMED[variant]
            for theme, target in enumerate(targets):
                own = rows[claimed & (similarity.argmax(axis=1) == theme)]
                centroids.append(unit(target + unit(own.sum(axis=0))))
            rest = ~claimed
        n_clusters = min(N_CLUSTERS, int(rest.sum()) // 3)
        if n_clusters:
            fitted = KMeans(n_clusters, n_init=10, random_state=seed).fit(rows[rest])
            centroids += list(unit(fitted.cluster_centers_))
        self.centroids = np.array(centroids)
        self.names = (*seeds, *(f"cluster {i + 1}" for i in range(n_clusters)))

    def assign(self, contents: Sequence[str | None]) -> list[int]:
        """Return each content's nearest theme."""
        known = [text for text in contents if text is not None]
        nearest = iter((self._embedded(known) @ self.centroids.T).argmax(axis=1).tolist())
        return [-1 if text is None else next(nearest) for text in contents]

    def _embedded(self, texts: Sequence[str]) -> Any2D:
        raw = self._raw(texts)
        return unit(raw - raw @ self.common.T @ self.common)

    def _raw(self, texts: Sequence[str]) -> Any2D:
        if not texts:
            return np.zeros((0, 256))
        if self.variant == "title embeddings":
            return unit(embed([text.replace("/", " ").replace("-", " ") for text in texts]))
        split = [words(text) or [""] for text in texts]
        known = sorted({word for own in split for word in own})
        of = dict(zip(known, unit(embed(known)), strict=True))
        return unit(np.array([np.sum([of[word] for word in own], axis=0) for own in split]))


def unit(rows: Any2D) -> Any2D:
    """Return rows of length 1; zero stays zero."""
    length = np.linalg.norm(rows, axis=-1, keepdims=True)
    return rows / np.where(length == 0, 1.0, length)


def embed(texts: list[str]) -> Any2D:
    """Return WordLlama's vectors, from the weights in its wheel."""
    import wordllama

    global _loaded
    if _loaded is None:
        folder = Path(str(wordllama.__file__)).parent
        _loaded = wordllama.WordLlama.load(cache_dir=folder, disable_download=True)
    return np.asarray(_loaded.embed(texts), dtype=np.float64)


_loaded: Any = None
