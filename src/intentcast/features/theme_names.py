"""What themes are called: their top words, or what a person renamed and merged them to."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from intentcast.errors import ConfigError
from intentcast.features.theme_text import Floats, unit, words

_IN_NAME = 3
_LEADING = 10
_LISTED = 20


@dataclass(frozen=True)
class Theme:
    """A theme while it is being fitted: its name, its centroids, and whether a team named it."""

    name: str
    centroids: tuple[Floats, ...]
    is_seed: bool


def top_words(centroid: Floats, vocabulary: Sequence[str], most: int) -> list[str]:
    """Return the words that weigh most in a centroid, heaviest first, ties in order of name."""
    order = np.argsort(-centroid, kind="stable")[:most]
    return [vocabulary[i] for i in order if centroid[i] > 0]


def name_clusters(
    centroids: Sequence[Floats],
    vocabulary: Sequence[str],
    *,
    spelt: Mapping[str, str],
    used: Sequence[str],
) -> list[Theme]:
    """Name each cluster by its three top words as they are spelt, numbered where that is taken."""
    taken, themes = set(used), []
    for centroid in centroids:
        leading = top_words(centroid, vocabulary, _IN_NAME)
        top = "-".join(spelt.get(word, word) for word in leading) or "unnamed"
        name, number = top, 2
        while name in taken:
            name, number = f"{top}-{number}", number + 1
        taken.add(name)
        themes.append(Theme(name, (centroid,), is_seed=False))
    return themes


def apply_names(
    themes: Sequence[Theme],
    *,
    renames: Mapping[str, str],
    merges: Mapping[str, Sequence[str]],
    vocabulary: Sequence[str],
    idf: Floats,
) -> list[Theme]:
    """Rename themes, then merge them; the titles of each stay together as they were.

    A cluster's name is its top words, and they shift when the data grow. So a name means, in this
    order: the theme of exactly this name; the nearest cluster that has most of its words among
    its ten leading ones and that no other setting names; the words themselves as a centroid. A
    theme that a person has named thus keeps its name through every retraining, at worst without
    content. What is plainly a misspelling of a theme is refused.

    Args:
        themes: Seeds first.
        renames: Present name and new name.
        merges: New or present name, and the themes that it stands for: their present names, or
            those that they were renamed from.
        vocabulary: Shape (n_words,).
        idf: Shape (n_words,).

    Raises:
        ConfigError: If a name is misspelt, taken, or given to two things.
    """
    naming = _Naming(list(themes), vocabulary, idf)
    naming.keep([*renames, *(part for parts in merges.values() for part in parts)])
    for old, new in renames.items():
        naming.rename(old, new)
    for name, parts in merges.items():
        naming.merge(name, parts)
    return naming.themes


class _Naming:
    """The themes while names are given out, and what each setting's name turned out to mean."""

    def __init__(self, themes: list[Theme], vocabulary: Sequence[str], idf: Floats) -> None:
        self.themes, self.vocabulary = themes, vocabulary
        self.index = {word: i for i, word in enumerate(vocabulary)}
        self.idf = idf
        self.before = [theme.name for theme in themes]
        self.named: set[str] = set()
        self.present: dict[str, str] = {}

    def keep(self, names: Sequence[str]) -> None:
        """Leave what is named exactly to the setting that does so."""
        self.named |= set(names) & set(self.before)

    def rename(self, old: str, new: str) -> None:
        """Give the theme that `old` means the name `new`."""
        at = self._find(old, "themes.rename")
        if any(theme.name == new for i, theme in enumerate(self.themes) if i != at):
            raise ConfigError(
                f"themes.rename gives {old!r} the name {new!r}, which is a theme's already",
                expected="a new name",
                next_step=f'choose another, or join both under [themes.merge]: "{new}" = ["{old}"]',
            )
        theme = self.themes[at]
        self.themes[at] = Theme(new, theme.centroids, is_seed=theme.is_seed)
        self.present[old] = new
        self.named.add(new)

    def merge(self, name: str, parts: Sequence[str]) -> None:
        """Put the themes that `parts` mean, and one called `name` if there is, under that name."""
        own = [i for i, theme in enumerate(self.themes) if theme.name == name]
        places = sorted({*own, *(self._find(part, "themes.merge") for part in parts)})
        joined = [self.themes[i] for i in places]
        centroids = tuple(centroid for theme in joined for centroid in theme.centroids)
        is_seed = any(theme.is_seed for theme in joined)
        # A merged theme stands where the first of its parts stood.
        self.themes[places[0]] = Theme(name, centroids, is_seed=is_seed)
        self.themes = [t for i, t in enumerate(self.themes) if i not in places[1:]]
        self.present |= dict.fromkeys((theme.name for theme in joined), name)
        self.present |= dict.fromkeys(parts, name)
        self.named.add(name)

    def _find(self, name: str, setting: str) -> int:
        """Return the place of the theme that a name means, adding it where there is none."""
        names = [theme.name for theme in self.themes]
        present = self.present.get(name, name)
        if present in names:
            return names.index(present)
        own = words(name)
        vector = self._vector(own)
        near = [
            (float(vector @ theme.centroids[0]), -at)
            for at, theme in enumerate(self.themes)
            if not theme.is_seed and theme.name not in self.named and self._leads(theme, set(own))
        ]
        if near:
            at = -max(near)[1]
            self.named.add(names[at])
            return at
        self._refuse_misspelt(name, names, setting)
        self.themes.append(Theme(name, (np.round(vector, 9),), is_seed=False))
        self.named.add(name)
        return len(self.themes) - 1

    def _vector(self, own: Sequence[str]) -> Floats:
        out = np.zeros(len(self.idf))
        for word in own:
            if word in self.index:
                out[self.index[word]] += self.idf[self.index[word]]
        return unit(out)

    def _leads(self, theme: Theme, own: set[str]) -> bool:
        leading = top_words(theme.centroids[0], self.vocabulary, _LEADING)
        return 2 * len(own & set(leading)) > len(own) > 0

    def _refuse_misspelt(self, name: str, names: Sequence[str], setting: str) -> None:
        known = list(dict.fromkeys([*names, *self.before]))
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.75)
        is_known = any(word in self.index for word in words(name))
        if close and not is_known:
            raise ConfigError(
                f"{setting} names {name!r}, which is no theme",
                expected=f"names among {', '.join(names[:_LISTED])}",
                next_step=f"did you mean {close[0]!r}; `intentcast themes DIR` prints them all",
            )
