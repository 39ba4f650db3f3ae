"""Check how the live API behaves, with at most 30 requests that change nothing. `ticketsource check` prints the result."""
