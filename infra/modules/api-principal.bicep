metadata description = 'Off by default. Only applications and people to whom a role of the API was given get tokens for it.'

// Without it Entra gives every application of the tenant a token for the API, only without roles; Mailroom refuses those,
// and this keeps them from being made at all. The enterprise application is made, where there is none yet. Who deploys
// needs Application.ReadWrite.All in Microsoft Graph, or to own the app registration and have Application.ReadWrite.OwnedBy.
// https://learn.microsoft.com/graph/templates/bicep/reference/serviceprincipals
extension microsoftGraphV1

@description('The application (client) id of the app registration that callers of sendMail get tokens for.')
param apiClientId string

resource api 'Microsoft.Graph/servicePrincipals@v1.0' = {
  appId: apiClientId
  appRoleAssignmentRequired: true
}

@description('The object id of its enterprise application.')
output objectId string = api.id
