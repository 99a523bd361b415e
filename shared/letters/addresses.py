"""What a mail address is: the syntax of RFC 5321, 5322 and 6531."""

__all__ = ["check_address"]


def check_address(address: str) -> None:
    """Raise ValueError, saying what is wrong. Names under .test and without a dot are for the tenant to know."""
    import email_validator  # tens of milliseconds that start-up must not pay

    email_validator.validate_email(
        address, check_deliverability=False, test_environment=True, globally_deliverable=False
    )
