metadata description = 'Off by default. Grants the identity rights in Microsoft Graph, over every mailbox of the tenant.'

// The price: what is granted here holds for all mailboxes, and adds up with what Exchange allows, so it cannot be limited
// by it. scripts/limit-sender-mailboxes.ps1 is the way to a few mailboxes; use one of the two. Who deploys this needs
// AppRoleAssignment.ReadWrite.All and Application.Read.All in Microsoft Graph.
extension microsoftGraphV1

import { TenantGrant } from './types.bicep'

@description('The object id of Mailroom\'s enterprise application.')
param principalId string

@description('What to grant.')
param grants TenantGrant[]

// https://learn.microsoft.com/graph/permissions-reference
var appRoleIds = {
  'Mail.Send': 'b633e1c5-b582-4048-a93e-9f11b44c7e96'
  'Mail.Read': '810c84a8-4a9e-49e6-bf7d-12d183f40d01'
  'Mail.ReadWrite': 'e2a3a72e-5f79-4c64-b1b1-878b674786c9'
}

resource graph 'Microsoft.Graph/servicePrincipals@v1.0' existing = {
  appId: '00000003-0000-0000-c000-000000000000'
}

resource grant 'Microsoft.Graph/appRoleAssignedTo@v1.0' = [
  for one in grants: {
    appRoleId: appRoleIds[one]
    principalId: principalId
    resourceId: graph.id
  }
]
