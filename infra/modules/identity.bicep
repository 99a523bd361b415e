metadata description = 'The one identity that Mailroom runs under: towards storage, Key Vault, Application Insights and Microsoft Graph.'

import { Tags } from './types.bicep'

@description('Where the identity is.')
param location string

@description('Its name; Entra shows the enterprise application under the same one.')
param name string

@description('Tags of every resource.')
param tags Tags

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: name
  location: location
  tags: tags
}

@description('The application id: AZURE_CLIENT_ID, and New-ServicePrincipal -AppId in Exchange.')
output clientId string = identity.properties.clientId

@description('The object id of its enterprise application: role assignments, and New-ServicePrincipal -ObjectId in Exchange.')
output principalId string = identity.properties.principalId
