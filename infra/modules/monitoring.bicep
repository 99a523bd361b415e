metadata description = 'Log Analytics, and Application Insights that takes telemetry from Entra identities only.'

import { Tags } from './types.bicep'

@description('The region of both.')
param location string

@description('The ending of both names.')
param name string

@description('Tags of every resource.')
param tags Tags

@description('Days that logs are kept.')
param retentionDays int

@description('GB a day after which no more is ingested; -1: no limit. Alerts see nothing beyond it.')
param dailyQuotaGb int

@description('The object id of Mailroom\'s identity: writes telemetry.')
param principalId string

@description('The identity\'s resource id. Role assignments are named after it, since it is known before the deployment.')
param identityId string

// https://learn.microsoft.com/azure/role-based-access-control/built-in-roles/monitor
var metricsPublisher = '3913510d-42f4-4e42-8a64-420c390055eb'

resource workspace 'Microsoft.OperationalInsights/workspaces@2025-07-01' = {
  name: 'log-${name}'
  location: location
  tags: tags
  properties: {
    sku: {
      name: 'PerGB2018'
    }
    retentionInDays: retentionDays
    workspaceCapping: {
      dailyQuotaGb: dailyQuotaGb
    }
    features: {
      disableLocalAuth: true
    }
  }
}

resource insights 'Microsoft.Insights/components@2020-02-02' = {
  name: 'appi-${name}'
  location: location
  tags: tags
  kind: 'web'
  properties: {
    Application_Type: 'web'
    DisableLocalAuth: true
    WorkspaceResourceId: workspace.id
  }
}

resource publishes 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: insights
  name: guid(insights.id, identityId, metricsPublisher)
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', metricsPublisher)
  }
}

@description('For alerts, the workbook and the vault\'s audit log.')
output workspaceId string = workspace.id

@description('The application\'s name in the portal.')
output insightsName string = insights.name

@description('Names the application. It is not a secret, since ingestion requires a token from Entra.')
output connectionString string = insights.properties.ConnectionString
