"""Build, send and read one call. This package is private."""
