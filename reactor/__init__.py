"""Moving records: from a log of bytes through the lanes to the journal."""

import journal  # noqa: F401 - it registers the lanes that other packages bring, before anything here asks for LANES
