"""Sound, video and clips: reading with constant frame rate and one sample rate, and writing."""
