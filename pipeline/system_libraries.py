"""System libraries that the wheels of bpy, open3d and opencv load and do not bring."""

import re

# As in docs/libraries.md; a test holds the two together.
DEBIAN_LINE = (
    "apt-get install -y --no-install-recommends libgl1 libx11-6 libxext6 libxfixes3 libxi6 libxrender1 "
    "libxkbcommon0 libsm6 libice6 libgomp1 libudev1 libglib2.0-0"
)


def missing_library(error: BaseException) -> str | None:
    """One sentence for an import that failed for want of a system library; None for any other error."""
    found = re.search(r"(lib[\w+.-]+\.so[\w.]*): cannot open shared object file", str(error))
    if found is None or not isinstance(error, ImportError | OSError):
        return None
    return f"the system library {found[1]} must be installed, is missing. On Debian: {DEBIAN_LINE}."
