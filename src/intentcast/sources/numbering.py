"""Texts as numbers, without a table being built anew for each batch of rows."""

import numpy as np
import polars as pl


class Numbering:
    """Numbers texts from 0 in the order in which they are met; several threads may at once."""

    def __init__(self) -> None:
        self._categories = pl.Categories.random()
        self._type = pl.Categorical(self._categories)
        # Polars forgets the numbers as soon as no column has the type: this one always has it.
        self._reminder = pl.Series([], dtype=self._type)

    def __call__(self, column: pl.Expr) -> pl.Expr:
        """Return the number of each text, null for null; texts not met before are added."""
        return column.cast(self._type).to_physical()

    @property
    def texts(self) -> pl.Series:
        """All texts met so far, in order of their numbers."""
        texts = self._categories.to_series()
        numbers = texts.cast(self._type).to_physical()
        return texts.gather(numbers.arg_sort())


class LeadNumbers:
    """The place of each lead in the table of leads."""

    def __init__(self, lead_ids: pl.Series) -> None:
        """Number the leads.

        Args:
            lead_ids: Each once.
        """
        self._numbering = Numbering()
        numbers = lead_ids.to_frame("lead").select(self._numbering(pl.col("lead"))).to_series()
        places = np.empty(len(numbers), dtype=np.uint32)
        places[numbers.to_numpy()] = np.arange(len(numbers), dtype=np.uint32)
        self._places = pl.Series(places)

    def __call__(self, column: pl.Expr) -> pl.Expr:
        """Return the place of each lead in a column; null for one that is not there."""
        number = self._numbering(column)
        return pl.lit(self._places).gather(pl.when(number < len(self._places)).then(number))
