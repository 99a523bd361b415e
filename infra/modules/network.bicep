metadata description = 'For the network `private`: private endpoints with their DNS zones, and a virtual network, or those that are there already.'

import { DnsZones, ExistingSubnets, Network, Tags } from './types.bicep'

@description('The region.')
param location string

@description('The ending of its parts\' names.')
param name string

@description('The name of the network, if one is made.')
param netName string

@description('Its subnet for the app.')
param appSubnetName string

@description('Tags of every resource.')
param tags Tags

@description('Its addresses, and what is attached to the app\'s subnet.')
param network Network

@description('Subnets to use instead; none is made or changed then.')
param existingSubnets ExistingSubnets?

@description('DNS zones to use; none is made or linked then.')
param dnsZoneIds DnsZones?

@description('The storage account.')
param storageId string

@description('The storage account of the package.')
param packagesId string

@description('The vault.')
param vaultId string

var makesNetwork = existingSubnets == null
var makesZones = dnsZoneIds == null
var storageSuffix = environment().suffixes.storage

// The zones are Azure's own names: https://learn.microsoft.com/azure/private-link/private-endpoint-dns
var zones = [
  {
    service: 'blob'
    name: 'privatelink.blob.${storageSuffix}'
  }
  {
    service: 'queue'
    name: 'privatelink.queue.${storageSuffix}'
  }
  {
    service: 'table'
    name: 'privatelink.table.${storageSuffix}'
  }
  {
    service: 'vault'
    name: 'privatelink${replace(environment().suffixes.keyvaultDns, '.vault.', '.vaultcore.')}'
  }
]
// zone: the place in the list above.
var endpoints = [
  {
    name: 'blob'
    zone: 0
    target: 'storage'
  }
  {
    name: 'queue'
    zone: 1
    target: 'storage'
  }
  {
    name: 'table'
    zone: 2
    target: 'storage'
  }
  {
    name: 'vault'
    zone: 3
    target: 'vault'
  }
  {
    name: 'package'
    zone: 0
    target: 'packages'
  }
]

resource guard 'Microsoft.Network/networkSecurityGroups@2025-03-01' = if (makesNetwork) {
  name: 'nsg-${name}'
  location: location
  tags: tags
}

// Without `subnets`: since version 2023-11-01 a network that is written without them keeps those it has, and yours beside
// Mailroom's (bicep-types-az issue 1687). Written here, each deployment would delete the others, or fail at it.
resource net 'Microsoft.Network/virtualNetworks@2025-03-01' = if (makesNetwork) {
  name: netName
  location: location
  tags: tags
  properties: {
    addressSpace: {
      addressPrefixes: [network.addressPrefix]
    }
  }
}

// A deployment sets a subnet as a whole, and detaches whatever is not named here. So NAT gateway and route table are
// parameters; for anything else, give subnets of your own.
// The provider Microsoft.App must be registered in the subscription, or the app cannot join the subnet:
// az provider register --namespace Microsoft.App --wait
resource appSubnet 'Microsoft.Network/virtualNetworks/subnets@2025-03-01' = if (makesNetwork) {
  parent: net
  name: appSubnetName
  properties: {
    addressPrefix: network.appSubnetPrefix
    defaultOutboundAccess: empty(network.?natGatewayId) // to Graph and Entra, where nothing else leads out
    natGateway: empty(network.?natGatewayId)
      ? null
      : {
          id: network.?natGatewayId
        }
    routeTable: empty(network.?routeTableId)
      ? null
      : {
          id: network.?routeTableId
        }
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

resource endpointSubnet 'Microsoft.Network/virtualNetworks/subnets@2025-03-01' = if (makesNetwork) {
  parent: net
  name: 'endpoints'
  dependsOn: [
    appSubnet // a network takes one change at a time
  ]
  properties: {
    addressPrefix: network.endpointSubnetPrefix
    defaultOutboundAccess: false
    networkSecurityGroup: {
      id: guard.id
    }
    privateEndpointNetworkPolicies: 'Enabled'
  }
}

resource zone 'Microsoft.Network/privateDnsZones@2024-06-01' = [
  for one in zones: if (makesZones) {
    name: one.name
    location: 'global'
    tags: tags
  }
]

resource link 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2024-06-01' = [
  for (one, at) in zones: if (makesZones) {
    parent: zone[at]
    name: 'mailroom'
    location: 'global'
    tags: tags
    properties: {
      registrationEnabled: false
      virtualNetwork: {
        // The network of a subnet: the part of its id before /subnets/.
        id: existingSubnets == null ? net.id : split(existingSubnets!.app, '/subnets/')[0]
      }
    }
  }
]

resource privateEndpoint 'Microsoft.Network/privateEndpoints@2025-03-01' = [
  for endpoint in endpoints: {
    name: 'pe-${endpoint.name}-${name}'
    location: location
    tags: tags
    properties: {
      subnet: {
        id: existingSubnets.?endpoints ?? endpointSubnet.id
      }
      privateLinkServiceConnections: [
        {
          name: endpoint.name
          properties: {
            privateLinkServiceId: endpoint.target == 'vault'
              ? vaultId
              : endpoint.target == 'packages' ? packagesId : storageId
            groupIds: [zones[endpoint.zone].service]
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
          name: zones[endpoint.zone].service
          properties: {
            privateDnsZoneId: dnsZoneIds[?zones[endpoint.zone].service] ?? zone[endpoint.zone].id
          }
        }
      ]
    }
  }
]
