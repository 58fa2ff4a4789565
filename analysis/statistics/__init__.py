"""The statistics that findings rest on: means and intervals, tests, frontiers, fits of scaling laws."""
