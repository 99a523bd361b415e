metadata description = 'The shapes of parameters that more than one file has.'

@export()
@description('A program that puts messages into one queue.')
type Producer = {
  @description('The object id of its identity: of a managed identity or an enterprise application, not of an app registration.')
  principalId: string

  @description('The queue: mails ready to be sent, or events that a route turns into mails.')
  queue: 'mail-outbox' | 'mail-events'

  @description('The kind of principal; a service principal unless given.')
  principalType: ('ServicePrincipal' | 'Group' | 'User')?
}

@export()
@description('A program that reads a queue.')
type Reader = {
  @description('The object id of its identity, as for a producer.')
  principalId: string

  @description('The kind of principal; a service principal unless given.')
  principalType: ('ServicePrincipal' | 'Group' | 'User')?
}

@export()
@description('What one application may do over HTTP. Empty senders: nothing.')
type Caller = {
  @description('The mailboxes it may send as: addresses, *@contoso.com, or object ids.')
  senders: string[]

  @description('Its allowed recipients; left out: anyone that allowedRecipients allows.')
  recipients: string[]?

  @description('Mails a minute; left out: no limit of its own.')
  @minValue(1)
  ratePerMinute: int?

  @description('What it may attach by reference: container or container/folder in the storage account; left out: nothing.')
  attachments: string[]?

  @description('Whether what becomes of its mails is told in mail-results; left out: as MAIL_RESULTS says.')
  results: bool?
}

@export()
@description('Which grants the identity gets in the whole tenant: see modules/graph-permission.bicep for the price.')
type TenantGrant = 'Mail.Send' | 'Mail.Read' | 'Mail.ReadWrite'

@export()
@description('Tags by name.')
type Tags = {
  *: string
}

@export()
@description('Settings that few need to change, by the names in the README, which has their meanings and defaults.')
type MailSettings = {
  MAIL_RECIPIENTS_PER_DAY: string?
  MAIL_EXTENDED_PROPERTIES: string?
  MAIL_OPERATOR_APPS: string?
  MAIL_OPERATOR_KEYS: ('true' | 'false')?
  MAIL_MODE: ('live' | 'redirect' | 'capture')?
  MAIL_REDIRECT_TO: string?
  MAIL_SEND_AT_ONCE: ('true' | 'false')?
  MAIL_BOUNCES: ('true' | 'false')?
  MAIL_SUPPRESS_BOUNCED: ('true' | 'false')?
  MAIL_RESULTS: ('true' | 'false')?
  MAIL_LARGE_ATTACHMENTS: ('true' | 'false')?
  MAIL_ATTACHMENT_CONTAINERS: string?
  MAIL_MAX_REQUEST_MB: string?
  MAIL_ROUTES_DIR: string?
  MAIL_BRAND_NAME: string?
  MAIL_BRAND_COLOR: string?
  MAIL_BRAND_LOGO: string?
  MAIL_TIME_ZONE: string?
  MAIL_RATE_PER_MINUTE: string?
  MAIL_CONCURRENCY: string?
  MAIL_VERIFY_SENT: ('true' | 'false')?
  MAIL_VERIFY_DELAYS: string?
  MAIL_ON_UNKNOWN: ('resend' | 'review')?
  MAIL_SEND_TIMEOUT: string?
  MAIL_LEASE_MARGIN: string?
  MAIL_MAX_ATTEMPTS: string?
  MAIL_MAX_AGE_HOURS: string?
}

@export()
@description('The virtual network that is made for the network `private`.')
type Network = {
  @description('The whole address range, such as 10.84.0.0/24.')
  addressPrefix: string

  @description('For the function app, at least a /27; delegated to Microsoft.App/environments.')
  appSubnetPrefix: string

  @description('For the private endpoints, at least a /28.')
  endpointSubnetPrefix: string

  @description('Resource id of a NAT gateway that the app leaves by. Attach it here and not by hand: a deployment sets the subnet as it is written here.')
  natGatewayId: string?

  @description('Resource id of a route table for the app\'s subnet, such as one that leads to a firewall.')
  routeTableId: string?
}

@export()
@description('Existing subnets; nothing in them is changed. Whoever deploys needs Microsoft.Network/virtualNetworks/subnets/join/action on both.')
type ExistingSubnets = {
  @description('Resource id of the app\'s subnet: at least a /27, delegated to Microsoft.App/environments, without private endpoints, no underscore in its name.')
  app: string

  @description('Resource id of the subnet for the private endpoints; of the same network, or of one that the app\'s is peered with.')
  endpoints: string
}

@export()
@description('Resource ids of existing private DNS zones that are linked to the app\'s network. Whoever deploys needs Private DNS Zone Contributor on each.')
type DnsZones = {
  @description('privatelink.blob.core.windows.net')
  blob: string

  @description('privatelink.queue.core.windows.net')
  queue: string

  @description('privatelink.table.core.windows.net')
  table: string

  @description('privatelink.vaultcore.azure.net')
  vault: string
}

@export()
@description('Who may reach a site: one of ipAddress, serviceTag and subnetId. Everyone else is answered 403 by Azure.')
type AccessRule = {
  @description('Its name in the portal.')
  @maxLength(32)
  name: string

  @description('An address or range: 203.0.113.7/32.')
  ipAddress: string?

  @description('Addresses that Azure maintains: ActionGroup, AzureEventGrid, AzureDevOps, AzureFrontDoor.Backend.')
  serviceTag: string?

  @description('Resource id of a subnet with the service endpoint Microsoft.Web.')
  subnetId: string?

  @description('Beside AzureFrontDoor.Backend: the id of your own Front Door, since that tag covers everybody\'s.')
  frontDoorId: string?
}
