"""Opens whatever raw files a capture of a manifest names: a capture of frames, a scan, a motion capture."""

from pipeline.captures.capture import Capture
from pipeline.captures.opening import open_capture
from pipeline.manifest import Manifest
from tasks.correspond import opened_charts
from tasks.scan import opened_scan
from tasks.script import check_motion


def open_inputs(manifest: Manifest, capture: str) -> Capture | None:
    """Open a capture's raw files, so that what is wrong with it as a whole is said.

    Returns:
        The frames, none of them read; None where there are no raw frames: of scans and simulated captures.

    Raises:
        InputError: when the capture as a whole is missing or malformed.
    """
    table, path = manifest.captures[capture], manifest.capture_folder(capture)
    if table.chart_file is not None:
        opened_charts(manifest, capture)
    recording = manifest.motion_file(capture)
    if recording is not None:
        check_motion(recording)
    if path is None:
        return None
    if table.format == "scan":
        opened_scan(path, table)
        return None
    return open_capture(path, table.format, table.options)
