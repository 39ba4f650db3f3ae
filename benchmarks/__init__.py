"""What is fast, beside what users would write instead: `uv run --group bench python -m benchmarks`."""
