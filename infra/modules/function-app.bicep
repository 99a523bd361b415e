metadata description = 'The Flex Consumption plan and the function app with its settings. No setting is a secret.'

import { restrictions } from './access.bicep'
import { AccessRule, Caller, MailSettings, Tags } from './types.bicep'

@description('Where the app is.')
param location string

@description('Its name, the first label of its address.')
param name string

@description('The plan\'s name.')
param planName string

@description('Tags of every resource.')
param tags Tags

@description('Resource id of Mailroom\'s identity.')
param identityId string

@description('Its application id.')
param identityClientId string

@description('Resource id of the identity that deploys the package and starts instances from it.')
param deploymentIdentityId string

@description('The storage account.')
param storageAccountName string

@description('The storage account of the package.')
param packagesAccountName string

@description('The vault of webhooks\' secrets.')
param vaultName string

@description('Names the Application Insights resource.')
param insightsConnectionString string

@description('MB of memory of one instance.')
param instanceMemoryMB int

@description('Instances at most.')
param maximumInstanceCount int

@description('HTTP requests that one instance takes at a time.')
param httpConcurrency int

@description('Instances for HTTP that are always running.')
param alwaysReadyHttp int

@description('Instances for the queue mail-work that are always running.')
param alwaysReadyWork int

@description('Whether instances are spread over the zones of the region: see main.bicep for the price.')
param zoneRedundant bool

@description('Who may reach the app; empty: everyone.')
param siteAccess AccessRule[]

@description('Who may reach its deployment endpoint; empty: everyone.')
param scmAccess AccessRule[]

@description('The subnet that the app\'s outgoing connections come from; empty: none.')
param subnetId string

@description('MAIL_SENDER.')
param mailSender string

@description('MAIL_TO.')
param mailTo string

@description('MAIL_ALLOWED_SENDERS.')
param allowedSenders string

@description('MAIL_ALLOWED_RECIPIENTS.')
param allowedRecipients string

@description('MAIL_CALLERS.')
param callers { *: Caller }

@description('MAIL_SENDER_POOLS.')
param senderPools { *: string[] }

@description('MAIL_API_CLIENT_ID.')
param apiClientId string

@description('MAIL_API_TENANT.')
param apiTenantId string

@description('MAIL_RETENTION_DAYS.')
param retentionDays int

@description('The settings that few need to change.')
param mailSettings MailSettings

var packageContainer = 'app-package' // made in packages.bicep
var storageSuffix = environment().suffixes.storage
// https://learn.microsoft.com/graph/deployments
var graphHosts = {
  AzureUSGovernment: 'graph.microsoft.us'
  AzureChinaCloud: 'microsoftgraph.chinacloudapi.cn'
}
var graphHost = graphHosts[?environment().name] ?? 'graph.microsoft.com'

// With zones Azure takes no count of 1: https://learn.microsoft.com/azure/reliability/reliability-functions
var leastReady = zoneRedundant ? 2 : 1
var alwaysReady = [
  {
    name: 'http'
    instanceCount: alwaysReadyHttp == 0 ? 0 : max(alwaysReadyHttp, leastReady)
  }
  {
    name: 'function:mail_work'
    instanceCount: alwaysReadyWork == 0 ? 0 : max(alwaysReadyWork, leastReady)
  }
]

resource plan 'Microsoft.Web/serverfarms@2025-03-01' = {
  name: planName
  location: location
  tags: tags
  kind: 'functionapp'
  sku: {
    tier: 'FlexConsumption'
    name: 'FC1'
  }
  properties: {
    reserved: true
    zoneRedundant: zoneRedundant
  }
}

resource app 'Microsoft.Web/sites@2025-03-01' = {
  name: name
  location: location
  tags: union(tags, { 'azd-service-name': 'api' })
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identityId}': {}
      '${deploymentIdentityId}': {}
    }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    publicNetworkAccess: 'Enabled' // webhooks come from anywhere
    virtualNetworkSubnetId: empty(subnetId) ? null : subnetId
    siteConfig: {
      minTlsVersion: '1.2'
      scmMinTlsVersion: '1.2'
      ftpsState: 'Disabled'
      http20Enabled: true
      remoteDebuggingEnabled: false
      // Written without rules too, so that one which somebody added by hand does not outlive its reason.
      ipSecurityRestrictions: restrictions(siteAccess)
      ipSecurityRestrictionsDefaultAction: empty(siteAccess) ? 'Allow' : 'Deny'
      scmIpSecurityRestrictions: restrictions(scmAccess)
      scmIpSecurityRestrictionsDefaultAction: empty(scmAccess) ? 'Allow' : 'Deny'
      scmIpSecurityRestrictionsUseMain: false
    }
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: 'https://${packagesAccountName}.blob.${storageSuffix}/${packageContainer}'
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: deploymentIdentityId
          }
        }
      }
      runtime: {
        name: 'python'
        version: '3.13'
      }
      scaleAndConcurrency: {
        instanceMemoryMB: instanceMemoryMB
        maximumInstanceCount: maximumInstanceCount
        alwaysReady: filter(alwaysReady, group => group.instanceCount > 0)
        triggers: {
          http: {
            perInstanceConcurrency: httpConcurrency
          }
        }
      }
    }
  }
}

// One literal, so that a preview shows each value. An empty one counts as not set: the default in the README holds.
resource settings 'Microsoft.Web/sites/config@2025-03-01' = {
  parent: app
  name: 'appsettings'
  properties: {
    // The host's and Mailroom's storage, by identity
    AzureWebJobsStorage__blobServiceUri: 'https://${storageAccountName}.blob.${storageSuffix}'
    AzureWebJobsStorage__queueServiceUri: 'https://${storageAccountName}.queue.${storageSuffix}'
    AzureWebJobsStorage__tableServiceUri: 'https://${storageAccountName}.table.${storageSuffix}'
    AzureWebJobsStorage__credential: 'managedidentity'
    AzureWebJobsStorage__clientId: identityClientId

    APPLICATIONINSIGHTS_CONNECTION_STRING: insightsConnectionString
    APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identityClientId};Authorization=AAD'

    AZURE_CLIENT_ID: identityClientId
    GRAPH_BASE_URL: 'https://${graphHost}/v1.0'
    MAIL_VAULT_URL: 'https://${vaultName}${environment().suffixes.keyvaultDns}'

    MAIL_SENDER: mailSender
    MAIL_TO: mailTo
    MAIL_ALLOWED_SENDERS: allowedSenders
    MAIL_ALLOWED_RECIPIENTS: allowedRecipients
    MAIL_CALLERS: empty(callers) ? '' : string(callers)
    MAIL_SENDER_POOLS: empty(senderPools) ? '' : string(senderPools)
    MAIL_API_CLIENT_ID: apiClientId
    MAIL_API_TENANT: empty(apiClientId) ? '' : apiTenantId
    MAIL_API_AUTHORITY: empty(apiClientId) ? '' : environment().authentication.loginEndpoint
    MAIL_RETENTION_DAYS: string(retentionDays)

    MAIL_RECIPIENTS_PER_DAY: mailSettings.?MAIL_RECIPIENTS_PER_DAY ?? ''
    MAIL_EXTENDED_PROPERTIES: mailSettings.?MAIL_EXTENDED_PROPERTIES ?? ''
    MAIL_OPERATOR_APPS: mailSettings.?MAIL_OPERATOR_APPS ?? ''
    MAIL_OPERATOR_KEYS: mailSettings.?MAIL_OPERATOR_KEYS ?? ''
    MAIL_MODE: mailSettings.?MAIL_MODE ?? ''
    MAIL_REDIRECT_TO: mailSettings.?MAIL_REDIRECT_TO ?? ''
    MAIL_SEND_AT_ONCE: mailSettings.?MAIL_SEND_AT_ONCE ?? ''
    MAIL_BOUNCES: mailSettings.?MAIL_BOUNCES ?? ''
    MAIL_SUPPRESS_BOUNCED: mailSettings.?MAIL_SUPPRESS_BOUNCED ?? ''
    MAIL_RESULTS: mailSettings.?MAIL_RESULTS ?? ''
    MAIL_LARGE_ATTACHMENTS: mailSettings.?MAIL_LARGE_ATTACHMENTS ?? ''
    MAIL_ATTACHMENT_CONTAINERS: mailSettings.?MAIL_ATTACHMENT_CONTAINERS ?? ''
    MAIL_MAX_REQUEST_MB: mailSettings.?MAIL_MAX_REQUEST_MB ?? ''
    MAIL_ROUTES_DIR: mailSettings.?MAIL_ROUTES_DIR ?? ''
    MAIL_BRAND_NAME: mailSettings.?MAIL_BRAND_NAME ?? ''
    MAIL_BRAND_COLOR: mailSettings.?MAIL_BRAND_COLOR ?? ''
    MAIL_BRAND_LOGO: mailSettings.?MAIL_BRAND_LOGO ?? ''
    MAIL_TIME_ZONE: mailSettings.?MAIL_TIME_ZONE ?? ''
    MAIL_RATE_PER_MINUTE: mailSettings.?MAIL_RATE_PER_MINUTE ?? ''
    MAIL_CONCURRENCY: mailSettings.?MAIL_CONCURRENCY ?? ''
    MAIL_VERIFY_SENT: mailSettings.?MAIL_VERIFY_SENT ?? ''
    MAIL_VERIFY_DELAYS: mailSettings.?MAIL_VERIFY_DELAYS ?? ''
    MAIL_ON_UNKNOWN: mailSettings.?MAIL_ON_UNKNOWN ?? ''
    MAIL_SEND_TIMEOUT: mailSettings.?MAIL_SEND_TIMEOUT ?? ''
    MAIL_LEASE_MARGIN: mailSettings.?MAIL_LEASE_MARGIN ?? ''
    MAIL_MAX_ATTEMPTS: mailSettings.?MAIL_MAX_ATTEMPTS ?? ''
    MAIL_MAX_AGE_HOURS: mailSettings.?MAIL_MAX_AGE_HOURS ?? ''
  }
}

// Deployments come with a token of Entra. User and password for the deployment endpoint are off.
resource ftp 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2025-03-01' = {
  parent: app
  name: 'ftp'
  properties: {
    allow: false
  }
}

resource scm 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2025-03-01' = {
  parent: app
  name: 'scm'
  properties: {
    allow: false
  }
}

@description('The app\'s name, for deployments.')
output name string = app.name

@description('Its address.')
output url string = 'https://${app.properties.defaultHostName}'
