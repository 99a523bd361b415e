metadata description = 'The storage account of the app\'s package, apart from all else, so that the identity the app runs under cannot replace its own code.'

import { Tags } from './types.bicep'

@description('The region.')
param location string

@description('Its name, unique in the world: 3 to 24 lower-case letters and digits.')
@minLength(3)
@maxLength(24)
param name string

@description('Tags of every resource.')
param tags Tags

@description('Its redundancy: see main.bicep.')
param sku string

@description('Whether only private endpoints reach it.')
param isPrivate bool

@description('The object id of the deployment identity.')
param principalId string

@description('The identity\'s resource id. Its role assignment is named after it, since it is known before the deployment.')
param identityId string

@description('What the deployment identity may do between deployments: see main.bicep.')
param access 'write' | 'read'

// Azure Functions takes a package in over the app's deployment endpoint and puts it into the container under the identity
// that the app names for it (functionAppConfig.deployment.storage.authentication), and starts instances from there under
// the same one. Microsoft documents Storage Blob Data Contributor for it, on the account:
// https://learn.microsoft.com/azure/azure-functions/flex-consumption-how-to#configure-deployment-settings
// https://learn.microsoft.com/azure/role-based-access-control/built-in-roles/storage
var roles = {
  write: 'ba92f5b4-2d11-453d-a403-e96b0029c9fe' // Storage Blob Data Contributor
  read: '2a2b9908-6ea1-4ae2-8e65-a410df84e7d1' // Storage Blob Data Reader
}
var packageContainer = 'app-package'

resource account 'Microsoft.Storage/storageAccounts@2025-08-01' = {
  name: name
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: {
    name: sku
  }
  properties: {
    accessTier: 'Hot'
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    publicNetworkAccess: isPrivate ? 'Disabled' : 'Enabled'
    supportsHttpsTrafficOnly: true
    networkAcls: {
      bypass: 'AzureServices'
      defaultAction: isPrivate ? 'Deny' : 'Allow'
    }
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2025-08-01' = {
  parent: account
  name: 'default'
}

resource container 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-08-01' = {
  parent: blobs
  name: packageContainer
  properties: {
    publicAccess: 'None'
  }
}

resource role 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: account
  name: guid(account.id, identityId, roles[access])
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles[access])
  }
}

@description('The account, as the scope of the deployment identity\'s role.')
output id string = account.id
