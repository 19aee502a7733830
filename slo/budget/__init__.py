"""Error budgets: events counted, burn rates, percentiles, incidents."""
