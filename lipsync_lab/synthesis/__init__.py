"""The drawing machine: procedural 2D animation that speaks, whose every frame is known exactly."""
