"""What a user calls: checks arguments, states the problem, runs its plan."""
