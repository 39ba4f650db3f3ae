"""Numbers of things in words."""


def counted(number: int, what: str) -> str:
    """Return a number of things in words: "2 lines"."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def counted_once(repeated: int) -> str:
    """Return the text about bookings that the API listed more than once."""
    return f"{counted(repeated, 'booking')} came more than once from the API. Each counts once."
