"""What the live API does, asked within 30 requests that change nothing; `ticketsource check` shows it."""
