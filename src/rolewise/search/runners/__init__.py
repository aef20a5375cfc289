"""Runners carry out what `rolewise.search.population` decides."""
