"""Check how the live API behaves, with at most 30 requests that change nothing. See `ticketsource check`."""
