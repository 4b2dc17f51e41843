"""Standard figures of how well tracking, its closed loops and several cameras hold together."""

from tasks.report.figure import DEGREES, Figure

UNTRACKED, UNCLOSED = "poses given", "no loop"

FIDELITY_FIGURES: dict[str, Figure] = {
    "tracked_percent": Figure(
        stat="tracked frames",
        factor=100,
        name="tracked",
        unit="%",
        bound="at least",
        absent=UNTRACKED,
        meaning="share of the frames whose camera was found",
    ),
    "track_residual_mm": Figure(
        stat="tracking residual, median",
        factor=1e3,
        name="tracking residual",
        unit="mm",
        absent=UNTRACKED,
        meaning="median over frames of the median distance of a frame's pixels from the model it was aligned with",
    ),
    "camera_path_m": Figure(
        stat="camera path",
        factor=1,
        name="camera path",
        unit="m",
        absent=UNTRACKED,
        meaning="length of the way that the camera went",
    ),
    "loop_ties": Figure(
        stat="loop ties",
        factor=1,
        name="loop ties",
        unit="1",
        bound="at least",
        absent=UNTRACKED,
        meaning="ties between frames far apart in time that see the same",
    ),
    "loop_before_mm": Figure(
        stat="loop error before, median",
        factor=1e3,
        name="loop error before",
        unit="mm",
        absent=UNCLOSED,
        meaning="median over ties of the distance between where a tie and where the walk from frame to frame put the "
        "camera, before loops were closed",
    ),
    "loop_after_mm": Figure(
        stat="loop error after, median",
        factor=1e3,
        name="loop error after",
        unit="mm",
        absent=UNCLOSED,
        meaning="the same after loops were closed",
    ),
    "loop_before_deg": Figure(
        stat="loop turn before, median",
        factor=DEGREES,
        name="loop turn before",
        unit="deg",
        absent=UNCLOSED,
        meaning="the angle likewise, before loops were closed",
    ),
    "loop_after_deg": Figure(
        stat="loop turn after, median",
        factor=DEGREES,
        name="loop turn after",
        unit="deg",
        absent=UNCLOSED,
        meaning="the same after loops were closed",
    ),
    "seen_through_percent": Figure(
        stat="cameras see through each other, largest share",
        factor=100,
        name="seen through",
        unit="%",
        absent="one camera",
        meaning="of several cameras, the largest share of the person one sees that another looks through",
    ),
    "path_rmse_mm": Figure(
        stat="truth camera error, root mean square",
        factor=1e3,
        name="camera path, RMSE",
        unit="mm",
        absent="no truth",
        meaning="root mean square over frames of the distance between the camera's centre and the true one",
    ),
    "turn_rmse_deg": Figure(
        stat="truth camera turn, root mean square",
        factor=DEGREES,
        name="camera turn, RMSE",
        unit="deg",
        absent="no truth",
        meaning="root mean square over frames of the angle between the camera's axes and the true ones",
    ),
}
