"""Converters: other toolkits' configs into experiments, with a list of what was not carried over and what differs."""
