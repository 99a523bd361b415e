using 'main.bicep'

// For azd: every parameter but those that Azure computes (location, apiTenantId, httpConcurrency), from azd's environment
// (`azd env set MAIL_SENDER …`), so that this file is never edited. What is no text is JSON. Those who deploy with
// `make deploy` have a file of their own instead: example.bicepparam.

param environmentName = readEnvironmentVariable('AZURE_ENV_NAME', 'mailroom')
param tags = json(readEnvironmentVariable('MAILROOM_TAGS', '{}'))

param mailSender = readEnvironmentVariable('MAIL_SENDER', '')
param mailTo = readEnvironmentVariable('MAIL_TO', '')
param allowedSenders = readEnvironmentVariable('MAIL_ALLOWED_SENDERS', '')
param allowedRecipients = readEnvironmentVariable('MAIL_ALLOWED_RECIPIENTS', '')
param callers = json(readEnvironmentVariable('MAIL_CALLERS', '{}'))
param senderPools = json(readEnvironmentVariable('MAIL_SENDER_POOLS', '{}'))
param producers = json(readEnvironmentVariable('MAILROOM_PRODUCERS', '[]'))
param resultReaders = json(readEnvironmentVariable('MAILROOM_RESULT_READERS', '[]'))
param apiClientId = readEnvironmentVariable('MAIL_API_CLIENT_ID', '')
param requireApiAssignment = json(readEnvironmentVariable('MAILROOM_REQUIRE_API_ASSIGNMENT', 'false'))
param retentionDays = json(readEnvironmentVariable('MAIL_RETENTION_DAYS', '14'))

// The other settings by their names: {"MAIL_MODE": "redirect", "MAIL_REDIRECT_TO": "you@contoso.com"}
param mailSettings = json(readEnvironmentVariable('MAILROOM_MAIL_SETTINGS', '{}'))

param network = readEnvironmentVariable('MAILROOM_NETWORK', 'public')
param networkAddresses = json(readEnvironmentVariable(
  'MAILROOM_NETWORK_ADDRESSES',
  '{"addressPrefix": "10.84.0.0/24", "appSubnetPrefix": "10.84.0.0/26", "endpointSubnetPrefix": "10.84.0.64/27"}'
))
param existingSubnets = json(readEnvironmentVariable('MAILROOM_EXISTING_SUBNETS', 'null'))
param dnsZoneIds = json(readEnvironmentVariable('MAILROOM_DNS_ZONE_IDS', 'null'))
param siteAccess = json(readEnvironmentVariable('MAILROOM_SITE_ACCESS', '[]'))
param scmAccess = json(readEnvironmentVariable('MAILROOM_SCM_ACCESS', '[]'))
param instanceMemoryMB = json(readEnvironmentVariable('MAILROOM_INSTANCE_MEMORY_MB', '2048'))
param maximumInstanceCount = json(readEnvironmentVariable('MAILROOM_MAXIMUM_INSTANCE_COUNT', '40'))
param alwaysReadyHttp = json(readEnvironmentVariable('MAILROOM_ALWAYS_READY_HTTP', '0'))
param alwaysReadyWork = json(readEnvironmentVariable('MAILROOM_ALWAYS_READY_WORK', '0'))
param storageSku = readEnvironmentVariable('MAILROOM_STORAGE_SKU', '')
param zoneRedundant = json(readEnvironmentVariable('MAILROOM_ZONE_REDUNDANT', 'false'))
param lockStorage = json(readEnvironmentVariable('MAILROOM_LOCK_STORAGE', 'false'))
param packageAccess = readEnvironmentVariable('MAILROOM_PACKAGE_ACCESS', 'write')
param vaultCreateMode = readEnvironmentVariable('MAILROOM_VAULT_CREATE_MODE', 'default')
param tenantWideGrants = json(readEnvironmentVariable('MAILROOM_TENANT_WIDE_GRANTS', '[]'))

param alertEmail = readEnvironmentVariable('MAILROOM_ALERT_EMAIL', '')
param actionGroupIds = json(readEnvironmentVariable('MAILROOM_ACTION_GROUP_IDS', '[]'))
param logRetentionDays = json(readEnvironmentVariable('MAILROOM_LOG_RETENTION_DAYS', '30'))
param logDailyQuotaGb = json(readEnvironmentVariable('MAILROOM_LOG_DAILY_QUOTA_GB', '-1'))

// Who deploys may put the secrets of webhooks into the vault; azd says who that is. Others: JSON, ["<object id>"].
param secretsOfficerPrincipalIds = union(
  filter([readEnvironmentVariable('AZURE_PRINCIPAL_ID', '')], id => !empty(id)),
  json(readEnvironmentVariable('MAILROOM_SECRETS_OFFICER_PRINCIPAL_IDS', '[]'))
)
