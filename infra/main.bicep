metadata name = 'Mailroom'
metadata description = 'Mailroom in a resource group of its own, with no key and no secret: docs/deploy.md.'

import { apiToRestrict, isPrivateNetwork } from './modules/checks.bicep'
import { dashed, solid, vaultOf } from './modules/names.bicep'
import { redundancyOf } from './modules/regions.bicep'
import {
  AccessRule
  Caller
  DnsZones
  ExistingSubnets
  MailSettings
  Network
  Producer
  Reader
  Tags
  TenantGrant
} from './modules/types.bicep'

// Where, and under which names

@description('The region. Flex Consumption is not in every region: az functionapp list-flexconsumption-locations.')
param location string = resourceGroup().location

@description('Names this Mailroom among others of the subscription, as azd does: letters, digits and -._(). Every resource\'s name begins with its lower-case letters and digits, and ends with a hash of the whole name.')
@minLength(1)
@maxLength(64)
param environmentName string = 'mailroom'

@description('Tags of every resource, besides azd\'s own.')
param tags Tags = {}

// Who may send what

@description('The mailbox that webhook routes send from, unless they name another. Empty: routes answer 503.')
param mailSender string = ''

@description('The recipients of webhook routes, unless they name others; separated by spaces.')
param mailTo string = ''

@description('The mailboxes that any mail may be sent as, separated by spaces: addresses, *@contoso.com, object ids. Empty: none but mailSender, for routes.')
param allowedSenders string = ''

@description('Allowed recipients of all mails, separated by spaces. Empty: anyone.')
param allowedRecipients string = ''

@description('What each application may do over HTTP, by its application (client) id; under mail-outbox, what the producers of that queue may do. Empty: no application may send.')
param callers { *: Caller } = {}

@description('Names that stand for several mailboxes.')
param senderPools { *: string[] } = {}

@description('Who may put messages into which queue.')
param producers Producer[] = []

@description('The programs that read mail-results, where Mailroom tells what has become of mails.')
param resultReaders Reader[] = []

@description('The application (client) id of the Entra app registration that callers of sendMail get tokens for; accepted audiences are this and api://this. Empty: sendMail answers 401.')
param apiClientId string = ''

@description('Have Entra issue these tokens only to applications and people that have a role of the API. Needs Application.ReadWrite.All to deploy; scripts/register-api.ps1 does it for a registration that it makes.')
param requireApiAssignment bool = false

@description('The tenant that issues these tokens.')
param apiTenantId string = tenant().tenantId

@description('Other settings of the README by their names. Secrets are none of them: they go into the vault.')
param mailSettings MailSettings = {}

@description('Days that ended mails, and so their keys, are remembered.')
@minValue(8)
@maxValue(3650)
param retentionDays int = 14

@description('Object ids of the people or groups who put the secrets of webhooks into the vault.')
param secretsOfficerPrincipalIds string[] = []

@description('Grants in Microsoft Graph over every mailbox of the tenant. Empty, the default: none, and scripts/limit-sender-mailboxes.ps1 gives those of the sender mailboxes only. Needs AppRoleAssignment.ReadWrite.All to deploy.')
param tenantWideGrants TenantGrant[] = []

// How it is reached and how it grows

@description('public: storage and vault have public addresses and take tokens of Entra only. private: they have none; a virtual network, private endpoints and DNS zones are made. Webhooks reach the app either way.')
@allowed(['public', 'private'])
param network string = 'public'

@description('The virtual network that is made if the network is private: its addresses, and what is attached to the app\'s subnet.')
param networkAddresses Network = {
  addressPrefix: '10.84.0.0/24'
  appSubnetPrefix: '10.84.0.0/26'
  endpointSubnetPrefix: '10.84.0.64/27'
}

@description('Subnets that are there already, to be used on the network `private` as they are, instead of a virtual network of its own.')
param existingSubnets ExistingSubnets?

@description('Private DNS zones that are there already, to be used on the network `private`, such as those of a hub; otherwise four are made and linked.')
param dnsZoneIds DnsZones?

@description('Who may reach the app over HTTP, senders of webhooks among them. Empty: everyone; each way in has its own proof.')
param siteAccess AccessRule[] = []

@description('Who may reach the deployment endpoint (SCM), which takes tokens of Entra only. Empty: everyone. Whoever deploys the code must be among them.')
param scmAccess AccessRule[] = []

@description('MB of memory of one instance, for the functions host and the Python worker together. Only the worker was measured: some 115 MB for each request of 35 MB. Look at the memory of your instances before you take 512.')
@allowed([512, 2048, 4096])
param instanceMemoryMB int = 2048

@description('Instances at most, in each group that scales by itself: all HTTP functions together, each queue by itself. They send faster only where there are more mailboxes than one instance keeps busy, since Graph counts by mailbox; they take in faster. Older regions insist on at least 40.')
@minValue(1)
@maxValue(1000)
param maximumInstanceCount int = 40

@description('HTTP requests that one instance takes at a time. Azure\'s default for Python is 1; Mailroom waits for storage and Graph most of the time, and one process is one core. By default 16; 4 with MAIL_LARGE_ATTACHMENTS, and 1 with MAIL_MAX_REQUEST_MB above 35: the functions host and the worker hold each body whole, several times.')
@minValue(1)
@maxValue(1000)
param httpConcurrency int = (mailSettings.?MAIL_LARGE_ATTACHMENTS ?? '') != 'true'
  ? 16
  : int(mailSettings.?MAIL_MAX_REQUEST_MB ?? '35') > 35 ? 1 : 4

@description('Instances for HTTP that always run. One takes the cold start out of the ten seconds that senders of webhooks wait, and costs all month.')
@minValue(0)
@maxValue(20)
param alwaysReadyHttp int = 0

@description('Instances for the queue mail-work that always run. Waiting mail has time: none.')
@minValue(0)
@maxValue(20)
param alwaysReadyWork int = 0

@description('How often storage keeps each mail: ZRS in three zones of the region, LRS in one. GRS and GZRS keep a copy in another region, which Mailroom does not read. Empty: ZRS, and LRS where the region has no zones.')
@allowed(['', 'Standard_ZRS', 'Standard_LRS', 'Standard_GRS', 'Standard_GZRS'])
param storageSku string = ''

@description('Spread instances over three zones, so that Mailroom goes on when one fails; mail that waits is kept in three anyway. Needs storage of three zones. Azure then keeps two instances always ready for each group that scales by itself, and bills them, many times what Mailroom costs at rest: docs/costs.md.')
param zoneRedundant bool = false

// What keeps it as it is

@description('Have Azure refuse to delete the storage account, so the ledger, until the lock is taken off. Who deploys needs Microsoft.Authorization/locks/write (Owner, User Access Administrator).')
param lockStorage bool = false

@description('What the deployment identity may do with the package. write: as Microsoft documents it. read: nothing that runs in the app can replace the package; who deploys code lends it the role for so long: docs/deploy.md.')
@allowed(['write', 'read'])
param packageAccess string = 'write'

@description('recover: once, for the first deployment after the resource group was deleted, bring back the vault with its secrets. With no deleted vault of the name it fails, so set it back to default.')
@allowed(['default', 'recover'])
param vaultCreateMode string = 'default'

// What is watched

@description('Whom alerts are mailed to, by Azure itself. Empty: no one.')
param alertEmail string = ''

@description('Resource ids of action groups that alerts go to besides.')
param actionGroupIds string[] = []

@description('Days that logs are kept.')
@minValue(30)
@maxValue(730)
param logRetentionDays int = 30

@description('GB of logs a day after which no more are taken, alerts being blind for the rest of it; -1: no limit.')
@minValue(-1)
param logDailyQuotaGb int = -1

var hash = uniqueString(subscription().id, resourceGroup().id, environmentName)
var name = dashed(environmentName, hash)
var allTags = union(tags, { 'azd-env-name': environmentName })
var attachesToNetwork = !empty(networkAddresses.?natGatewayId) || !empty(networkAddresses.?routeTableId)
var isPrivate = isPrivateNetwork(network, existingSubnets != null, dnsZoneIds != null, attachesToNetwork)
var sku = redundancyOf(storageSku, location, zoneRedundant)

// Names and ids are made here, not read from what was deployed: so a preview of a deployment shows them.
var identityName = 'id-${name}'
var deploymentIdentityName = 'id-deploy-${name}'
var storageName = solid('st', environmentName, hash)
var packagesName = solid('pk', environmentName, hash)
var vaultName = vaultOf(environmentName, hash)
var netName = 'vnet-${name}'
var appSubnetName = 'app'
var identityId = resourceId('Microsoft.ManagedIdentity/userAssignedIdentities', identityName)
var deploymentIdentityId = resourceId('Microsoft.ManagedIdentity/userAssignedIdentities', deploymentIdentityName)
var madeAppSubnetId = resourceId('Microsoft.Network/virtualNetworks/subnets', netName, appSubnetName)

module identity 'modules/identity.bicep' = {
  params: {
    location: location
    name: identityName
    tags: allTags
  }
}

module deploymentIdentity 'modules/identity.bicep' = {
  params: {
    location: location
    name: deploymentIdentityName
    tags: allTags
  }
}

module packages 'modules/packages.bicep' = {
  params: {
    location: location
    name: packagesName
    tags: allTags
    sku: sku
    isPrivate: isPrivate
    principalId: deploymentIdentity.outputs.principalId
    identityId: deploymentIdentityId
    access: packageAccess
  }
}

module storage 'modules/storage.bicep' = {
  params: {
    location: location
    name: storageName
    tags: allTags
    sku: sku
    isPrivate: isPrivate
    principalId: identity.outputs.principalId
    identityId: identityId
    producers: producers
    resultReaders: resultReaders
    isLocked: lockStorage
    retentionDays: retentionDays
  }
}

module monitoring 'modules/monitoring.bicep' = {
  params: {
    location: location
    name: name
    tags: allTags
    retentionDays: logRetentionDays
    dailyQuotaGb: logDailyQuotaGb
    principalId: identity.outputs.principalId
    identityId: identityId
  }
}

module vault 'modules/key-vault.bicep' = {
  params: {
    location: location
    name: vaultName
    tags: allTags
    isPrivate: isPrivate
    createMode: vaultCreateMode
    principalId: identity.outputs.principalId
    identityId: identityId
    officerPrincipalIds: secretsOfficerPrincipalIds
    workspaceId: monitoring.outputs.workspaceId
  }
}

module net 'modules/network.bicep' = if (isPrivate) {
  params: {
    location: location
    name: name
    netName: netName
    appSubnetName: appSubnetName
    tags: allTags
    network: networkAddresses
    existingSubnets: existingSubnets
    dnsZoneIds: dnsZoneIds
    storageId: resourceId('Microsoft.Storage/storageAccounts', storageName)
    packagesId: resourceId('Microsoft.Storage/storageAccounts', packagesName)
    vaultId: resourceId('Microsoft.KeyVault/vaults', vaultName)
  }
  dependsOn: [
    packages
    storage
    vault
  ]
}

module app 'modules/function-app.bicep' = {
  params: {
    location: location
    name: 'func-${name}'
    planName: 'plan-${name}'
    tags: allTags
    identityId: identityId
    identityClientId: identity.outputs.clientId
    deploymentIdentityId: deploymentIdentityId
    packagesAccountName: packagesName
    storageAccountName: storageName
    vaultName: vaultName
    insightsConnectionString: monitoring.outputs.connectionString
    instanceMemoryMB: instanceMemoryMB
    maximumInstanceCount: maximumInstanceCount
    httpConcurrency: httpConcurrency
    alwaysReadyHttp: alwaysReadyHttp
    alwaysReadyWork: alwaysReadyWork
    zoneRedundant: zoneRedundant
    siteAccess: siteAccess
    scmAccess: scmAccess
    subnetId: isPrivate ? existingSubnets.?app ?? madeAppSubnetId : ''
    mailSender: mailSender
    mailTo: mailTo
    allowedSenders: allowedSenders
    allowedRecipients: allowedRecipients
    callers: callers
    senderPools: senderPools
    apiClientId: apiClientId
    apiTenantId: apiTenantId
    retentionDays: retentionDays
    mailSettings: mailSettings
  }
  dependsOn: [
    storage // containers, queues, tables and roles are there before the app starts
    packages
    vault
    net
  ]
}

module graphPermission 'modules/graph-permission.bicep' = if (!empty(tenantWideGrants)) {
  params: {
    principalId: identity.outputs.principalId
    grants: tenantWideGrants
  }
}

module apiPrincipal 'modules/api-principal.bicep' = if (requireApiAssignment) {
  params: {
    apiClientId: apiToRestrict(apiClientId)
  }
}

module alerts 'modules/alerts.bicep' = {
  params: {
    location: location
    name: name
    tags: allTags
    workspaceId: monitoring.outputs.workspaceId
    actionGroupIds: actionGroupIds
    email: alertEmail
  }
}

module workbook 'modules/workbook.bicep' = {
  params: {
    location: location
    displayName: 'Mailroom ${environmentName}'
    tags: allTags
    workspaceId: monitoring.outputs.workspaceId
  }
}

@description('The function app: what is deployed to.')
output AZURE_FUNCTION_APP_NAME string = app.outputs.name

@description('The resource group, for azd and the check of a deployment.')
output AZURE_RESOURCE_GROUP string = resourceGroup().name

@description('The address of the API and of /api/events/{route}.')
output MAILROOM_URL string = app.outputs.url

@description('The storage account with the queues mail-outbox and mail-events.')
output AZURE_STORAGE_ACCOUNT_NAME string = storage.outputs.name

@description('The vault for the secrets of webhooks.')
output AZURE_KEY_VAULT_NAME string = vault.outputs.name

@description('The identity\'s application id, for scripts/limit-sender-mailboxes.ps1.')
output MAILROOM_IDENTITY_CLIENT_ID string = identity.outputs.clientId

@description('The object id of its enterprise application, for the same.')
output MAILROOM_IDENTITY_OBJECT_ID string = identity.outputs.principalId

@description('The object id of the identity that deploys the package.')
output MAILROOM_DEPLOYMENT_IDENTITY_OBJECT_ID string = deploymentIdentity.outputs.principalId

@description('The storage account of the package: the scope of that identity\'s role.')
output MAILROOM_PACKAGE_ACCOUNT_ID string = packages.outputs.id

@description('The Application Insights resource.')
output MAILROOM_APPLICATION_INSIGHTS string = monitoring.outputs.insightsName

@description('Whom alerts are told.')
output MAILROOM_ALERTS string = !empty(alertEmail)
  ? 'mailed to alertEmail${empty(actionGroupIds) ? '' : ', and to ${length(actionGroupIds)} action groups'}'
  : !empty(actionGroupIds)
      ? 'told to ${length(actionGroupIds)} action groups'
      : 'NOBODY IS TOLD when mail is not sent: set MAILROOM_ALERT_EMAIL, or actionGroupIds, and deploy again'
