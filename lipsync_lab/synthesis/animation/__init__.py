"""Procedural 2D animation: characters that speak, drawn frame by frame on transparent cels."""
