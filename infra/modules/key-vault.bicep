metadata description = 'The vault for the secrets of webhooks. Mailroom reads it itself, so no setting is a reference and private networks work.'

import { Tags } from './types.bicep'

@description('Where the vault is.')
param location string

@description('Its name, unique in the world: 3 to 24 letters, digits and dashes.')
@minLength(3)
@maxLength(24)
param name string

@description('Tags of every resource.')
param tags Tags

@description('Whether only private endpoints reach it.')
param isPrivate bool

@description('recover: bring back the vault of this name that was deleted, with its secrets; see main.bicep.')
param createMode 'default' | 'recover'

@description('The object id of Mailroom\'s identity: reads secrets.')
param principalId string

@description('The identity\'s resource id. Role assignments are named after it, since it is known before the deployment.')
param identityId string

@description('Object ids of the people or groups who store and rotate secrets.')
param officerPrincipalIds string[]

@description('Where its audit log goes.')
param workspaceId string

// https://learn.microsoft.com/azure/role-based-access-control/built-in-roles/security
var secretsUser = '4633458b-17de-408a-b874-0445c86b69e6'
var secretsOfficer = 'b86a8fe4-44ce-4948-aee5-eccb2c155cd7'

resource vault 'Microsoft.KeyVault/vaults@2026-02-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    createMode: createMode
    tenantId: tenant().tenantId
    sku: {
      family: 'A'
      name: 'standard'
    }
    enableRbacAuthorization: true
    enablePurgeProtection: true
    enableSoftDelete: true
    softDeleteRetentionInDays: 90
    publicNetworkAccess: isPrivate ? 'Disabled' : 'Enabled'
    networkAcls: {
      bypass: 'None'
      defaultAction: isPrivate ? 'Deny' : 'Allow' // a Flex Consumption app without a network has no fixed address
    }
  }
}

resource reads 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: vault
  name: guid(vault.id, identityId, secretsUser)
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', secretsUser)
  }
}

// No principalType: people and groups alike. They exist before this deployment, so it need not wait for them.
resource writes 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for officer in officerPrincipalIds: {
    scope: vault
    name: guid(vault.id, officer, secretsOfficer)
    properties: {
      principalId: officer
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', secretsOfficer)
    }
  }
]

// Groups of categories exist in this version only, which never became stable.
#disable-next-line use-recent-api-versions
resource audit 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: vault
  name: 'audit'
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        categoryGroup: 'audit'
        enabled: true
      }
    ]
  }
}

@description('The vault\'s name, for az keyvault secret set.')
output name string = vault.name
