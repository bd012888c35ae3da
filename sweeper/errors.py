"""What can go wrong between a client and the service."""

from fitting.errors import InputError


class NoServiceError(InputError):
    """No service is known, or none answers where one should be."""


class ServiceError(RuntimeError):
    """The service gave no answer that can be read as one; nobody's bad input."""
