"""Keeping another system in step with the customers: what changed since last time, and the file that knows it."""
