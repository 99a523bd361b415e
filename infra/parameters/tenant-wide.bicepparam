using '../main.bicep'

// The identity may send as every mailbox of the tenant. Prefer scripts/limit-sender-mailboxes.ps1.
param tenantWideGrants = ['Mail.Send', 'Mail.Read']

param allowedSenders = 'alerts@contoso.com'
