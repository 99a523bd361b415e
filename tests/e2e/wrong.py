"""A wrong value of each setting."""

GUID = "11111111-2222-3333-4444-555555555555"
WRONG = {
    "AzureWebJobsStorage": "@Microsoft.KeyVault(SecretUri=https://contoso.vault.azure.net/secrets/storage)",
    "AZURE_CLIENT_ID": "mine",
    "GRAPH_BASE_URL": "https://graph.example.com/v1.0",
    "MAIL_API_TENANT": "contoso.com",
    "MAIL_API_CLIENT_ID": "contoso",
    "MAIL_API_AUTHORITY": "login.microsoftonline.com",
    "MAIL_CALLERS": "{",
    "MAIL_SENDER_POOLS": "team",
    "MAIL_ALLOWED_SENDERS": "a@*",
    "MAIL_ALLOWED_RECIPIENTS": "a@con*so.com",
    "MAIL_ON_UNKNOWN": "retry",
    "MAIL_SEND_TIMEOUT": "soon",
    "MAIL_LEASE_MARGIN": "0",
    "MAIL_VERIFY_SENT": "maybe",
    "MAIL_VERIFY_DELAYS": "60 15",
    "MAIL_RATE_PER_MINUTE": "many",
    "MAIL_CONCURRENCY": "0",
    "MAIL_RETENTION_DAYS": "7",
    "MAIL_MAX_ATTEMPTS": "1.5",
    "MAIL_MAX_AGE_HOURS": "-1",
    "MAIL_SENDER": "*@contoso.com",
    "MAIL_TO": "ops",
    "MAIL_VAULT_URL": "http://contoso.vault.azure.net",
    "MAIL_RECIPIENTS_PER_DAY": "499",
    "MAIL_EXTENDED_PROPERTIES": "Colour",
    "MAIL_MODE": "test",
    "MAIL_REDIRECT_TO": "catcher",
    "MAIL_LARGE_ATTACHMENTS": "yes",
    "MAIL_ATTACHMENT_CONTAINERS": "mail-dead",
    "MAIL_MAX_REQUEST_MB": "0",
    "MAIL_BRAND_NAME": "a" * 61,
    "MAIL_BRAND_COLOR": "#ffcc00",
    "MAIL_BRAND_LOGO": "README.md",
    "MAIL_TIME_ZONE": "W. Europe Standard Time",
}
REGISTRATION = {"MAIL_API_TENANT": GUID, "MAIL_API_CLIENT_ID": GUID}
BROKEN = ("MAIL_ON_UNKNOWN", "MAIL_MODE")
"""What is wrong with the host that is asked: of delivery, and of the rules."""
