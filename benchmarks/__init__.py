"""The speed of this library and of other code for the same task: `uv run --group bench python -m benchmarks`."""
