"""How one call travels: private to the package."""
