metadata description = 'What is refused before anything is deployed, since it would have no effect: nothing that is given is ignored silently.'

@export()
@description('Whether the network is private. subnets, zones: given as they are there already; attached: a NAT gateway or a route table.')
func isPrivateNetwork(network string, subnets bool, zones bool, attached bool) bool =>
  network != 'private' && (subnets || zones || attached)
    ? fail('existingSubnets, dnsZoneIds, natGatewayId and routeTableId have no effect on the network ${network}: set network to private, or leave them out.')
    : subnets && attached
        ? fail('natGatewayId and routeTableId have no effect on existingSubnets, which are not changed: attach them there.')
        : network == 'private'

@export()
@description('The API that only those with a role of it get tokens for.')
func apiToRestrict(apiClientId string) string =>
  empty(apiClientId) ? fail('requireApiAssignment is true and apiClientId is empty: which API is meant?') : apiClientId
