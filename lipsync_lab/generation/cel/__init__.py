"""The animation generator: mouths of a chart, drawn in the line and the colours of the clip."""
