"""Worker processes: one job at a time, lost work done again, output passed on by the parent."""
