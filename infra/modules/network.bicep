metadata description = 'For the network `private`: a virtual network for the app, and private endpoints with their DNS zones.'

import { Network, Tags } from './types.bicep'

@description('Where the network is.')
param location string

@description('Ends the names of its parts.')
param name string

@description('The network\'s own name.')
param netName string

@description('Its subnet for the app.')
param appSubnetName string

@description('Tags of every resource.')
param tags Tags

@description('Its addresses.')
param network Network

@description('The storage account.')
param storageId string

@description('The vault.')
param vaultId string

// The zones are Azure's own names: https://learn.microsoft.com/azure/private-link/private-endpoint-dns
var endpoints = [
  {
    group: 'blob'
    zone: 'privatelink.blob.${environment().suffixes.storage}'
  }
  {
    group: 'queue'
    zone: 'privatelink.queue.${environment().suffixes.storage}'
  }
  {
    group: 'table'
    zone: 'privatelink.table.${environment().suffixes.storage}'
  }
  {
    group: 'vault'
    zone: 'privatelink${replace(environment().suffixes.keyvaultDns, '.vault.', '.vaultcore.')}'
  }
]

resource guard 'Microsoft.Network/networkSecurityGroups@2025-03-01' = {
  name: 'nsg-${name}'
  location: location
  tags: tags
}

resource net 'Microsoft.Network/virtualNetworks@2025-03-01' = {
  name: netName
  location: location
  tags: tags
  properties: {
    addressSpace: {
      addressPrefixes: [network.addressPrefix]
    }
    subnets: [
      {
        name: appSubnetName
        properties: {
          addressPrefix: network.appSubnetPrefix
          defaultOutboundAccess: true // to Graph and Entra; where a policy forbids it, a NAT gateway
          networkSecurityGroup: {
            id: guard.id
          }
          delegations: [
            {
              name: 'flex-consumption'
              properties: {
                serviceName: 'Microsoft.App/environments'
              }
            }
          ]
        }
      }
      {
        name: 'endpoints'
        properties: {
          addressPrefix: network.endpointSubnetPrefix
          defaultOutboundAccess: false
          networkSecurityGroup: {
            id: guard.id
          }
          privateEndpointNetworkPolicies: 'Enabled'
        }
      }
    ]
  }

  resource endpoints 'subnets' existing = {
    name: 'endpoints'
  }
}

resource zone 'Microsoft.Network/privateDnsZones@2024-06-01' = [
  for endpoint in endpoints: {
    name: endpoint.zone
    location: 'global'
    tags: tags
  }
]

resource link 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2024-06-01' = [
  for (endpoint, at) in endpoints: {
    parent: zone[at]
    name: 'mailroom'
    location: 'global'
    tags: tags
    properties: {
      registrationEnabled: false
      virtualNetwork: {
        id: net.id
      }
    }
  }
]

resource privateEndpoint 'Microsoft.Network/privateEndpoints@2025-03-01' = [
  for endpoint in endpoints: {
    name: 'pe-${endpoint.group}-${name}'
    location: location
    tags: tags
    properties: {
      subnet: {
        id: net::endpoints.id
      }
      privateLinkServiceConnections: [
        {
          name: endpoint.group
          properties: {
            privateLinkServiceId: endpoint.group == 'vault' ? vaultId : storageId
            groupIds: [endpoint.group]
          }
        }
      ]
    }
  }
]

resource records 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2025-03-01' = [
  for (endpoint, at) in endpoints: {
    parent: privateEndpoint[at]
    name: 'default'
    properties: {
      privateDnsZoneConfigs: [
        {
          name: endpoint.group
          properties: {
            privateDnsZoneId: zone[at].id
          }
        }
      ]
    }
  }
]
