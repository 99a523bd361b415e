metadata description = 'Who may reach the app and its deployment endpoint, as Azure takes it.'

import { AccessRule } from './types.bicep'

@description('How many of the three ways to say who are used.')
func ways(rule AccessRule) int =>
  length(filter([rule.?ipAddress, rule.?serviceTag, rule.?subnetId], way => !empty(way)))

@export()
@description('Rules of a site. Each allows; the last, which is Azure\'s own and has no line here, denies everyone else. https://learn.microsoft.com/azure/app-service/app-service-ip-restrictions')
func restrictions(rules AccessRule[]) resourceInput<'Microsoft.Web/sites@2025-03-01'>.properties.siteConfig.ipSecurityRestrictions =>
  map(rules, (rule, at) => {
    name: ways(rule) == 1
      ? rule.name
      : fail('The access rule ${rule.name} has ${ways(rule)} of ipAddress, serviceTag and subnetId; it needs one.')
    action: 'Allow'
    priority: 100 + at
    tag: empty(rule.?serviceTag) ? 'Default' : 'ServiceTag'
    ipAddress: (rule.?serviceTag ?? rule.?ipAddress)!
    vnetSubnetResourceId: rule.?subnetId!
    headers: empty(rule.?frontDoorId) ? {} : { 'x-azure-fdid': [rule.?frontDoorId!] }
  })
