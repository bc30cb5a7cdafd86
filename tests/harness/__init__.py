"""Real processes and real clients for the suites beside this package."""
