using '../main.bicep'

// Every option on, as an example of each. The GUIDs stand for your own.
// Any name that azd takes: what Azure does not take of it is left out of the names of resources.
param environmentName = 'Mailroom_Production.(West-Europe)'
param tags = {
  team: 'platform'
}
param network = 'private'
param networkAddresses = {
  addressPrefix: '10.20.0.0/24'
  appSubnetPrefix: '10.20.0.0/26'
  endpointSubnetPrefix: '10.20.0.64/27'
  natGatewayId: '/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/hub/providers/Microsoft.Network/natGateways/out'
  routeTableId: '/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/hub/providers/Microsoft.Network/routeTables/spokes'
}
param siteAccess = [
  {
    name: 'front-door'
    serviceTag: 'AzureFrontDoor.Backend'
    frontDoorId: '77777777-7777-7777-7777-777777777777'
  }
  {
    name: 'azure-monitor'
    serviceTag: 'ActionGroup'
  }
  {
    name: 'office'
    ipAddress: '203.0.113.0/24'
  }
]
param scmAccess = [
  {
    name: 'build-agents'
    subnetId: '/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/hub/providers/Microsoft.Network/virtualNetworks/build/subnets/agents'
  }
]
param storageSku = 'Standard_GZRS'
param zoneRedundant = true
param lockStorage = true
param packageAccess = 'read'
param vaultCreateMode = 'recover' // once, after the group was deleted: see main.bicep
param instanceMemoryMB = 4096
param maximumInstanceCount = 100
param httpConcurrency = 8
param alwaysReadyHttp = 1
param alwaysReadyWork = 1

param mailSender = 'team'
param mailTo = 'operators@contoso.com oncall@contoso.com'
param allowedSenders = 'alerts@contoso.com billing@contoso.com'
param allowedRecipients = '*@contoso.com *@*.contoso.com'
param senderPools = {
  team: ['alerts@contoso.com', 'billing@contoso.com']
}
param apiClientId = '11111111-1111-1111-1111-111111111111'
param requireApiAssignment = true
param apiTenantId = '22222222-2222-2222-2222-222222222222'
param callers = {
  '33333333-3333-3333-3333-333333333333': {
    senders: ['billing@contoso.com']
    recipients: ['*@contoso.com']
    ratePerMinute: 60
    attachments: ['mail-attachments/billing']
  }
}
param producers = [
  {
    principalId: '44444444-4444-4444-4444-444444444444'
    queue: 'mail-outbox'
  }
  {
    principalId: '55555555-5555-5555-5555-555555555555'
    queue: 'mail-events'
    principalType: 'Group'
  }
]
param resultReaders = [
  {
    principalId: '77777777-7777-7777-7777-777777777777'
  }
]
param mailSettings = {
  MAIL_RESULTS: 'true'
  MAIL_RATE_PER_MINUTE: '60'
  MAIL_ON_UNKNOWN: 'review'
  MAIL_BOUNCES: 'true'
  MAIL_SUPPRESS_BOUNCED: 'true'
  MAIL_LARGE_ATTACHMENTS: 'true'
  MAIL_OPERATOR_APPS: '44444444-4444-4444-4444-444444444444'
  MAIL_OPERATOR_KEYS: 'false'
  MAIL_MODE: 'redirect'
  MAIL_REDIRECT_TO: 'testers@contoso.com'
}
param retentionDays = 30
param secretsOfficerPrincipalIds = ['66666666-6666-6666-6666-666666666666']
param tenantWideGrants = ['Mail.Send', 'Mail.Read', 'Mail.ReadWrite']

param alertEmail = 'operators@contoso.com'
param actionGroupIds = [
  '/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/shared/providers/Microsoft.Insights/actionGroups/oncall'
]
param logRetentionDays = 90
param logDailyQuotaGb = 10
