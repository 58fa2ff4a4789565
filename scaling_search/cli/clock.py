"""When the command started: imported before all else."""

import time

BEGAN = time.monotonic()
