"""What can go wrong between a client and the service, which is nobody's bad input."""


class ServiceError(RuntimeError):
    """The service gave no answer that can be read as one."""
