using '../main.bicep'

// The network `private` in subnets, and with DNS zones, that are there already, as in a hub and spokes. Nothing of them is
// made or changed. The subscription needs: az provider register --namespace Microsoft.App --wait. What must be reached from the app's subnet stands in private.bicepparam.
param network = 'private'
param existingSubnets = {
  app: '/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/spoke/providers/Microsoft.Network/virtualNetworks/spoke/subnets/mailroom'
  endpoints: '/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/spoke/providers/Microsoft.Network/virtualNetworks/spoke/subnets/endpoints'
}
param dnsZoneIds = {
  blob: '/subscriptions/00000000-0000-0000-0000-000000000002/resourceGroups/dns/providers/Microsoft.Network/privateDnsZones/privatelink.blob.core.windows.net'
  queue: '/subscriptions/00000000-0000-0000-0000-000000000002/resourceGroups/dns/providers/Microsoft.Network/privateDnsZones/privatelink.queue.core.windows.net'
  table: '/subscriptions/00000000-0000-0000-0000-000000000002/resourceGroups/dns/providers/Microsoft.Network/privateDnsZones/privatelink.table.core.windows.net'
  vault: '/subscriptions/00000000-0000-0000-0000-000000000002/resourceGroups/dns/providers/Microsoft.Network/privateDnsZones/privatelink.vaultcore.azure.net'
}

param mailSender = 'alerts@contoso.com'
param mailTo = 'operators@contoso.com'
