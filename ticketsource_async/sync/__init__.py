"""Sync customers to another system: find what changed since the last sync run, and store it in a file."""
