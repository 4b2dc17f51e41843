"""How a quantity spreads over millions of pixels, gathered frame by frame in fixed memory."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Spread:
    """Counts of equal bins plus exact moments; quantiles are good to one bin.

    Args:
        low: lower edge of the first bin.
        high: upper edge of the last bin; values beyond the edges count as below or above.
        bins: number of bins.
    """

    def __init__(self, *, low: float, high: float, bins: int) -> None:
        self.edges: NDArray[np.float64] = np.linspace(low, high, bins + 1)
        self.counts: NDArray[np.int64] = np.zeros(bins, dtype=np.int64)
        self.below = self.above = 0
        self._finite = 0
        self._sum = self._sum_of_squares = 0.0

    def add(self, values: NDArray[Any]) -> None:
        """Count values of any shape, infinities beyond the edge of their sign; NaN raises ValueError."""
        flat = np.asarray(values, dtype=np.float64).ravel()
        if np.isnan(flat).any():
            raise ValueError(f"Spread: values must not be NaN, {int(np.isnan(flat).sum())} are")
        self.below += int(np.count_nonzero(flat < self.edges[0]))
        self.above += int(np.count_nonzero(flat > self.edges[-1]))
        self.counts += np.histogram(flat, bins=self.edges)[0]
        finite = flat[np.isfinite(flat)]
        self._finite += finite.size
        self._sum += float(finite.sum())
        self._sum_of_squares += float(np.square(finite).sum())

    @property
    def total(self) -> int:
        return int(self.counts.sum()) + self.below + self.above

    def mean(self) -> float | None:
        """Mean of the finite values; None without any."""
        return self._sum / self._finite if self._finite else None

    def std(self) -> float | None:
        """Standard deviation of the finite values; None without any."""
        if not self._finite:
            return None
        return math.sqrt(max(self._sum_of_squares / self._finite - (self._sum / self._finite) ** 2, 0.0))

    def quantile(self, share: float) -> float | None:
        """Smallest upper bin edge that `share` of all values do not exceed; None beyond the edges."""
        rank = share * self.total
        reached = self.below + np.cumsum(self.counts)
        index = int(np.searchsorted(reached, rank, side="left"))
        if self.total == 0 or index >= len(self.counts) or rank <= self.below:
            return None
        return float(self.edges[index + 1])

    def share_above(self, bound: float) -> float | None:
        """Share of all values in bins that start at or above `bound`; None without any value."""
        if self.total == 0:
            return None
        start = int(np.searchsorted(self.edges[:-1], bound - 1e-12))
        return float((self.counts[start:].sum() + self.above) / self.total)

    def grouped(self, bins: int) -> tuple[list[float], list[int]]:
        """The same counts in fewer, equally many-fold bins, for plots: (edges, counts)."""
        if len(self.counts) % bins:
            raise ValueError(f"Spread: bins must divide {len(self.counts)}, is {bins}")
        return self.edges[:: len(self.counts) // bins].tolist(), self.counts.reshape(bins, -1).sum(1).tolist()


def figure(value: float | None, unit: str, *, limit: float | None = None) -> dict[str, Any]:
    """One measured figure as it stands in records: value (None where nothing was measured), unit, limit."""
    return {"value": value, "unit": unit} | ({} if limit is None else {"limit": limit})
