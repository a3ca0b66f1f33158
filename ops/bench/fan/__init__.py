"""The bench of events: what streams weigh, what a delivered event costs, and how fast it is everywhere."""
