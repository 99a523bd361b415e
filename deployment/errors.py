"""What can go wrong, as sentences that say what to do."""

__all__ = ["DeploymentError"]


class DeploymentError(Exception):
    """The package cannot be built or deployed, or does not run; the text says what to do."""
