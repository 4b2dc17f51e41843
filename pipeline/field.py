"""One row of the field table."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """One row of the table.

    Attributes:
        shape: of one sample, symbols or numbers parted by spaces; equal symbols mean equal sizes.
        dtype: numpy's name, or "str" for UTF-8 text.
        unit: SI; "1" for pure numbers.
        frame: coordinate frame that the values are expressed in, or "-".
        invalid: the value that stands where there is none, or "-" where there always is one.
        shard: whether `shards` packs it.
    """

    shape: str
    dtype: str
    unit: str
    doc: str
    frame: str = "-"
    invalid: str = "-"
    shard: bool = True
