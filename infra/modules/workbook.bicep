metadata description = 'A workbook in the portal: what was sent, what became of it, how long it took, and what keeps it back.'

import { Tags } from './types.bicep'

@description('Where it is.')
param location string

@description('Its name in the portal.')
param displayName string

@description('Tags of every resource.')
param tags Tags

@description('The Log Analytics workspace.')
param workspaceId string

resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  name: guid(resourceGroup().id, displayName)
  location: location
  tags: tags
  kind: 'shared'
  properties: {
    displayName: displayName
    category: 'workbook'
    sourceId: workspaceId
    version: 'Notebook/1.0'
    serializedData: string(loadJsonContent('workbook.json'))
  }
}
