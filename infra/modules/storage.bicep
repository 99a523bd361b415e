metadata description = 'The storage account: queues, payloads and the ledger, without shared keys; and who may do what in it.'

import { Producer, Reader, Tags } from './types.bicep'

@description('Where the account is.')
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

@description('The object id of Mailroom\'s identity.')
param principalId string

@description('The identity\'s resource id. Role assignments are named after it, since it is known before the deployment.')
param identityId string

@description('Who may put messages into which queue.')
param producers Producer[]

@description('Who may take messages out of mail-results.')
param resultReaders Reader[]

@description('Whether Azure refuses to delete the account until the lock is removed.')
param isLocked bool

@description('Days that finished mails are kept; the lifecycle rule deletes later.')
param retentionDays int

// The names that the code uses; a test compares them.
@description('The queues, each with its poison queue.')
var queueNames = [
  'mail-events'
  'mail-outbox'
  'mail-work'
]
@description('mail-payloads: mails that do not fit into a queue message. mail-dead: what was not sent. mail-attachments: files that producers name.')
var containerNames = [
  'mail-payloads'
  'mail-dead'
  'mail-attachments'
]
var tableNames = [
  'mailattention'
  'mailbounces'
  'mailledger'
  'mailpacing'
  'mailsigned'
  'mailsummary'
  'mailsuppressed'
]
@description('Mailroom only puts messages there, so it has no poison queue.')
var resultsQueue = 'mail-results'
var allQueueNames = [resultsQueue, ...flatten(map(queueNames, queue => [queue, '${queue}-poison']))]

// https://learn.microsoft.com/azure/role-based-access-control/built-in-roles/storage
// The host makes containers, queues and tables of its own in this account (leases, timers, keys of functions), so these
// roles are on the account. It is Mailroom's alone.
var appRoles = {
  blobDataOwner: 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'
  queueDataContributor: '974c5e8b-45b9-4653-ba55-5f855dd0fb88'
  tableDataContributor: '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3'
}
var queueMessageSender = 'c6a89b2d-59bc-44d0-9896-0f6e12d7b80a'
var queueMessageProcessor = '8a0f0c08-91a1-4084-bc3d-661d67233fed'

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
      // Lifecycle rules come from Azure itself, as one of its trusted services; with None they may find the door shut:
      // https://learn.microsoft.com/azure/storage/blobs/lifecycle-management-overview
      bypass: 'AzureServices'
      defaultAction: isPrivate ? 'Deny' : 'Allow' // callers come from anywhere; what they may do their roles say
    }
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2025-08-01' = {
  parent: account
  name: 'default'
}

resource containers 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-08-01' = [
  for container in containerNames: {
    parent: blobs
    name: container
    properties: {
      publicAccess: 'None'
    }
  }
]

resource queues 'Microsoft.Storage/storageAccounts/queueServices@2025-08-01' = {
  parent: account
  name: 'default'
}

resource queue 'Microsoft.Storage/storageAccounts/queueServices/queues@2025-08-01' = [
  for name in allQueueNames: {
    parent: queues
    name: name
  }
]

resource tables 'Microsoft.Storage/storageAccounts/tableServices@2025-08-01' = {
  parent: account
  name: 'default'
}

resource table 'Microsoft.Storage/storageAccounts/tableServices/tables@2025-08-01' = [
  for name in tableNames: {
    parent: tables
    name: name
  }
]

// Maintenance removes what is no longer needed. This rule removes what maintenance missed, later than anything may still be
// needed: a mail waits at most 366 days for its time, is retried for at most 30 days, and may be 7 days late.
resource lifecycle 'Microsoft.Storage/storageAccounts/managementPolicies@2025-08-01' = {
  parent: account
  name: 'default'
  dependsOn: [
    blobs
  ]
  properties: {
    policy: {
      rules: [
        {
          name: 'payloads-that-maintenance-missed'
          enabled: true
          type: 'Lifecycle'
          definition: {
            filters: {
              blobTypes: ['blockBlob']
              prefixMatch: ['mail-payloads/']
            }
            actions: {
              baseBlob: {
                delete: {
                  daysAfterModificationGreaterThan: 420
                }
              }
            }
          }
        }
        {
          name: 'dead-mail-that-maintenance-missed'
          enabled: true
          type: 'Lifecycle'
          definition: {
            filters: {
              blobTypes: ['blockBlob']
              prefixMatch: ['mail-dead/']
            }
            actions: {
              baseBlob: {
                delete: {
                  daysAfterModificationGreaterThan: retentionDays + 60
                }
              }
            }
          }
        }
      ]
    }
  }
}

resource appRole 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for role in items(appRoles): {
    scope: account
    name: guid(account.id, identityId, role.value)
    properties: {
      principalId: principalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role.value)
    }
  }
]

@description('The queue of each producer, by its place in the list.')
resource producerQueue 'Microsoft.Storage/storageAccounts/queueServices/queues@2025-08-01' existing = [
  for producer in producers: {
    parent: queues
    name: producer.queue
  }
]

// May put messages into this queue, and neither read nor remove any.
resource producerRole 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for (producer, at) in producers: {
    scope: producerQueue[at]
    name: guid(producerQueue[at].id, producer.principalId, queueMessageSender)
    dependsOn: [
      queue
    ]
    properties: {
      principalId: producer.principalId
      principalType: producer.?principalType ?? 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', queueMessageSender)
    }
  }
]

resource results 'Microsoft.Storage/storageAccounts/queueServices/queues@2025-08-01' existing = {
  parent: queues
  name: resultsQueue
}

// May read messages of this queue and delete them, and put none.
resource readerRole 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for reader in resultReaders: {
    scope: results
    name: guid(results.id, reader.principalId, queueMessageProcessor)
    dependsOn: [
      queue
    ]
    properties: {
      principalId: reader.principalId
      principalType: reader.?principalType ?? 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', queueMessageProcessor)
    }
  }
]

// Prevents the deletion of the account, its containers, queues and tables, and of the group, through Azure Resource Manager.
// A request with a storage token, as Mailroom's own, is not affected: it can still delete a row or a whole table.
// https://learn.microsoft.com/azure/azure-resource-manager/management/lock-resources
resource lock 'Microsoft.Authorization/locks@2020-05-01' = if (isLocked) {
  scope: account
  name: 'ledger'
  properties: {
    level: 'CanNotDelete'
    notes: 'The ledger: without it Mailroom forgets which mails were sent, and a used key sends again.'
  }
}

@description('The account\'s name, for producers.')
output name string = account.name
