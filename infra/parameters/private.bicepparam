using '../main.bicep'

// Storage and vault without public addresses. Who puts secrets into the vault, and producers, must be in the network.
// The subscription needs: az provider register --namespace Microsoft.App --wait
// Outgoing traffic is not restricted. A firewall of your own must let the app reach, on port 443:
//   graph.microsoft.com         sendMail
//   login.microsoftonline.com   the keys that callers' tokens are signed with
//   outlook.office.com          uploads of large attachments, by addresses that Graph gives
// and what Azure Functions and Application Insights need themselves.
param network = 'private'

param mailSender = 'alerts@contoso.com'
param mailTo = 'operators@contoso.com'
