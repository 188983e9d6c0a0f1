"""The one exception a user is meant to read."""

from __future__ import annotations


class UserError(Exception):
    """Bad input or usage: one line saying what is wrong, where, and how to mend it. The command line exits with 2."""

    exit_code = 2


class ServiceError(UserError):
    """A service (model server, network, budget) stopped the work; nothing finished is lost. Exits with 3."""

    exit_code = 3
