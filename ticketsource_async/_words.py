"""Numbers of things in words, as reports and the command say them."""


def counted(number: int, what: str) -> str:
    """Return a number of things in words: "2 lines"."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def counted_once(repeated: int) -> str:
    """Return what is said of bookings that were listed more than once."""
    return f"{counted(repeated, 'booking')} came more than once from the API. Each counts once."
