"""Speed and memory, measured in child processes and reported as one table: `make bench`."""
