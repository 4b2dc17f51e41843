"""A row of the table of the report's standard figures."""

import math
from dataclasses import dataclass
from typing import Literal

DEGREES = 180 / math.pi  # from radians


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """A row of the table; the attributes mean what they mean in Metric.

    Attributes:
        stat: the figure's name in the stages' records.
        factor: from the record's unit to this row's.
    """

    name: str
    unit: str
    meaning: str
    stat: str
    factor: float
    bound: Literal["at most", "at least"] = "at most"
    absent: str = "not measured"
