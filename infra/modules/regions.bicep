metadata description = 'What a region can do, where a template cannot ask Azure.'

// Regions without availability zones, where storage of three zones is refused
// (RedundancyConfigurationNotAvailableInRegion), and what-if says nothing of it (arm-template-whatif issue 266).
// Public cloud: no availabilityZoneMappings in Azure's own list of locations, as of 2026-03-12 in
// https://github.com/Azure/terraform-azurerm-avm-utl-regions. National clouds: all but those that
// https://learn.microsoft.com/azure/storage/common/redundancy-regions-zrs names.
// A region that is taken out of here changes the default of accounts that exist: say so in CHANGELOG.

@description('ZRS where the region has zones, otherwise LRS. A region may be given by its display name: West US.')
func storageSkuOf(location string) 'Standard_LRS' | 'Standard_ZRS' =>
  contains(
      [
        'australiacentral'
        'australiacentral2'
        'australiasoutheast'
        'brazilsoutheast'
        'canadaeast'
        'chinaeast'
        'chinaeast2'
        'chinaeast3'
        'chinanorth'
        'chinanorth2'
        'francesouth'
        'germanynorth'
        'jioindiacentral'
        'jioindiawest'
        'koreasouth'
        'northcentralus'
        'norwaywest'
        'southafricawest'
        'southindia'
        'switzerlandwest'
        'uaecentral'
        'ukwest'
        'usdodcentral'
        'usdodeast'
        'usgovarizona'
        'usgovtexas'
        'westcentralus'
        'westindia'
        'westus'
      ],
      toLower(replace(location, ' ', ''))
    )
    ? 'Standard_LRS'
    : 'Standard_ZRS'

@export()
@description('The redundancy of the accounts: as it was asked for, or what the region can do. Zones for instances need it for storage too; Azure takes it without, and behaves in an unexpected way when a zone fails.')
func redundancyOf(asked string, location string, zoneRedundant bool) string =>
  zoneRedundant && !contains(empty(asked) ? storageSkuOf(location) : asked, 'ZRS')
    ? fail('zoneRedundant needs storage of three zones, Standard_ZRS or Standard_GZRS; storageSku is ${asked} and ${location} ${contains(storageSkuOf(location), 'ZRS') ? 'has' : 'has no'} zones.')
    : empty(asked) ? storageSkuOf(location) : asked
