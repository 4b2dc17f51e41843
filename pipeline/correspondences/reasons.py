"""Why a point of a picture has no place on the body's surface."""

# The number is the row; 0 where the point has a place.
REASONS = (
    "", "no-part", "unknown-part", "uv-not-finite", "uv-outside", "empty-chart", "off-chart", "outside-picture",
)  # fmt: skip
