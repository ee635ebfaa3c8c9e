"""From a query to hits: what it says, who is asked, what is chosen, and what its score means."""
