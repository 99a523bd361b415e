using '../main.bicep'

// Storage and vault without public addresses. Who puts secrets into the vault, and producers, must be in the network.
param network = 'private'

param mailSender = 'alerts@contoso.com'
param mailTo = 'operators@contoso.com'
