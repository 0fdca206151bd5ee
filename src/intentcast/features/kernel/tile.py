"""Sixteen snapshots' features, gathered before they are written.

Each feature's column lies elsewhere in memory. Written one number at a time, a row of features
touches as many pages as it has features; sixteen rows at once touch each page once.
"""

from numba import njit

from intentcast.features.kernel.arrays import Singles

ROWS = 16


@njit(cache=True, nogil=True)
def flush_if_full(tile: Singles, out: Singles, first: int, row: int, n_rows: int) -> None:
    """Copy the tile to the output where it is full, or the last row is in it.

    Args:
        tile: Shape (n_columns, ROWS); row i of the snapshots is its column i modulo ROWS.
        out: Shape (n_features, n_snapshots).
        first: Where the tile's columns begin in the output.
        row: The snapshot whose features were written last.
        n_rows: How many snapshots there are.
    """
    last = row % ROWS
    if last < ROWS - 1 and row < n_rows - 1:
        return
    start = row - last
    if last == ROWS - 1:
        for column in range(tile.shape[0]):
            for k in range(ROWS):
                out[first + column, start + k] = tile[column, k]
    else:
        for column in range(tile.shape[0]):
            for k in range(last + 1):
                out[first + column, start + k] = tile[column, k]
