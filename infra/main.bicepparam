using 'main.bicep'

// What azd and a shell set: `azd env set MAIL_SENDER …`, or `export MAIL_SENDER=…` before `az deployment group create`.
// Everything else has its default in main.bicep and can be set here.

param environmentName = readEnvironmentVariable('AZURE_ENV_NAME', 'mailroom')

param mailSender = readEnvironmentVariable('MAIL_SENDER', '')
param mailTo = readEnvironmentVariable('MAIL_TO', '')
param allowedSenders = readEnvironmentVariable('MAIL_ALLOWED_SENDERS', '')
param allowedRecipients = readEnvironmentVariable('MAIL_ALLOWED_RECIPIENTS', '')
param callers = json(readEnvironmentVariable('MAIL_CALLERS', '{}'))
param apiClientId = readEnvironmentVariable('MAIL_API_CLIENT_ID', '')

param network = readEnvironmentVariable('MAILROOM_NETWORK', 'public')
param alertEmail = readEnvironmentVariable('MAILROOM_ALERT_EMAIL', '')

// Who deploys may put the secrets of webhooks into the vault; azd says who that is.
param secretsOfficerPrincipalIds = filter([readEnvironmentVariable('AZURE_PRINCIPAL_ID', '')], id => !empty(id))
