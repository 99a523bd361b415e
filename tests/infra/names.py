"""The names that Azure takes, by the kind of resource.

https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules
"""

from typing import Final

SOLID: Final = r"[a-z0-9]{3,24}"
VAULT: Final = r"(?!.*--)[a-zA-Z][a-zA-Z0-9-]{1,22}[a-zA-Z0-9]"
SITE: Final = r"[a-zA-Z0-9][a-zA-Z0-9-]{0,30}[a-zA-Z0-9]"  # 60, and 32 as the host makes its id of the first 32
NETWORK: Final = r"[a-zA-Z0-9][a-zA-Z0-9._-]{0,62}[a-zA-Z0-9_]"
GUID: Final = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
CONTAINER: Final = r"(?!.*--)[a-z0-9][a-z0-9-]{1,61}[a-z0-9]"
ANY: Final = r"[^%&\\?/]{1,260}"
# For a child of another resource, the last part of its name.
RULES: Final = {
    "Microsoft.Authorization/locks": r"[\w.()-]{1,90}",
    "Microsoft.Authorization/roleAssignments": GUID,
    "Microsoft.Insights/actionGroups": r"[^:<>+/&%\\?|]{1,259}[^:<>+/&%\\?|. ]",
    "Microsoft.Insights/components": r"[^%&\\?/]{1,259}[^%&\\?/. ]",
    "Microsoft.Insights/diagnosticSettings": ANY,
    "Microsoft.Insights/scheduledQueryRules": r"[^*<>%:{}&#?/+\\]{1,259}[^*<>%:{}&#?/+\\. ]",
    "Microsoft.Insights/workbooks": GUID,
    "Microsoft.KeyVault/vaults": VAULT,
    "Microsoft.ManagedIdentity/userAssignedIdentities": r"[a-zA-Z0-9][a-zA-Z0-9_-]{2,127}",
    "Microsoft.Network/networkSecurityGroups": NETWORK,
    "Microsoft.Network/privateDnsZones": r"privatelink\.[a-z.]+",
    "Microsoft.Network/privateDnsZones/virtualNetworkLinks": NETWORK,
    "Microsoft.Network/privateEndpoints": NETWORK,
    "Microsoft.Network/privateEndpoints/privateDnsZoneGroups": NETWORK,
    "Microsoft.Network/virtualNetworks": NETWORK,
    "Microsoft.Network/virtualNetworks/subnets": r"[a-zA-Z0-9][a-zA-Z0-9.-]{0,78}[a-zA-Z0-9]",  # Flex: no underscore
    "Microsoft.OperationalInsights/workspaces": r"[a-zA-Z0-9][a-zA-Z0-9-]{2,61}[a-zA-Z0-9]",
    "Microsoft.Storage/storageAccounts": SOLID,
    "Microsoft.Storage/storageAccounts/blobServices": "default",
    "Microsoft.Storage/storageAccounts/blobServices/containers": CONTAINER,
    "Microsoft.Storage/storageAccounts/managementPolicies": "default",
    "Microsoft.Storage/storageAccounts/queueServices": "default",
    "Microsoft.Storage/storageAccounts/queueServices/queues": CONTAINER,
    "Microsoft.Storage/storageAccounts/tableServices": "default",
    "Microsoft.Storage/storageAccounts/tableServices/tables": r"[a-zA-Z][a-zA-Z0-9]{2,62}",
    "Microsoft.Web/serverfarms": r"[a-zA-Z0-9-]{1,60}",
    "Microsoft.Web/sites": SITE,
    "Microsoft.Web/sites/basicPublishingCredentialsPolicies": "ftp|scm",
    "Microsoft.Web/sites/config": "appsettings",
}
