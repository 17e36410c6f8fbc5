"""Validation of the metrics: artifacts injected into clean output, and how every metric responds to each."""
