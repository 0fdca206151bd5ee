"""Errors a caller can act on.

IntentcastError
├── InputError           the input is wrong           (fix what it names; exit code 2, HTTP 4xx)
│   ├── ConfigError      a setting is wrong
│   ├── ContractError    a table breaks its contract
│   └── BundleError      a bundle is damaged, incomplete or made for something else
├── RefusedError         the input is fine, the answer would not be (exit code 3)
└── LookAheadError       our own splits or features saw the future: a defect, never the user's fault

Every message says what was found, what was expected and what to do next, in one line. Only the
command line and the server translate these, into exit codes and HTTP statuses.
"""


class IntentcastError(Exception):
    """Base class: catch this to catch everything raised on purpose.

    Args:
        found: What is there, with counts and names.
        expected: What should have been there.
        next_step: The one thing to do about it.
    """

    def __init__(self, found: str, *, expected: str, next_step: str) -> None:
        self.found, self.expected, self.next_step = found, expected, next_step
        super().__init__(f"Found: {found}. Expected: {expected}. Next: {next_step}.")


class InputError(IntentcastError):
    """The input is wrong."""


class ConfigError(InputError):
    """A setting is unknown, missing or out of range."""


class ContractError(InputError):
    """A table is missing, or too much of it breaks its contract."""


class BundleError(InputError):
    """A bundle is damaged, incomplete, or does not fit the request."""


class RefusedError(IntentcastError):
    """There is an answer, but it would mislead: too little data, or a gate not passed."""


class LookAheadError(IntentcastError):
    """A split or a feature saw the future."""
