"""What can go wrong, by name.

Every message says what was wrong, with which file or setting, and what to do about it, in one line:
the command line prints it as it stands.
"""


class LipsyncError(Exception):
    """Root of every error that this package raises on purpose."""


class MediaError(LipsyncError):
    """A clip, picture or sound that cannot be read or written."""


class CheckpointError(LipsyncError):
    """Weights that are missing, are not the file they claim to be, or do not fit the network."""


class DetectionError(LipsyncError):
    """A detector that cannot run, recorded boxes that cannot be used, or a face that had to be found and was not."""


class ParameterError(LipsyncError):
    """A setting that does not exist, or has a value that makes no sense."""
