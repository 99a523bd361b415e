<#
.SYNOPSIS
    Registers Mailroom's API in Entra: what callers of it get their tokens for.

.DESCRIPTION
    Makes the app registration, or completes one: its address api://<client id>, the app roles of infra/app-roles.json,
    the delegated scopes of infra/api-scopes.json (Mail.Send for /me, Mailroom.OperateAsUser for operators who sign in),
    and the Azure CLI among the applications that need no consent for these scopes. Then its enterprise application, which
    gives tokens only to those whom an administrator has assigned. It has no secret.

    A scope allows nobody anything by itself. A user who operates needs the app role Mailroom.Operate too, and the
    application that signs in has to be in MAIL_OPERATOR_APPS; one that sends as itself has to be in MAIL_CALLERS.

    Run it again whenever something changes. What is right stays untouched; what others have added (roles, scopes,
    addresses, applications) stays too. Nothing is ever taken away.

.PARAMETER ApplicationId
    The application (client) id of a registration that is there. Without it the one called -DisplayName is taken, and made
    if there is none.

.PARAMETER DisplayName
    What a new registration is called.

.PARAMETER WithoutAzureCli
    Does not name the Azure CLI; who uses it then has to be given consent.

.PARAMETER WithoutAssignment
    Lets everyone in the tenant get a token, whose roles are then empty. Mailroom refuses these too; this is for tenants in
    which many people send as themselves and are not to be assigned one by one.

.EXAMPLE
    Connect-MgGraph -Scopes Application.ReadWrite.All
    .\register-api.ps1 -WhatIf

    Shows what would be done. Without -WhatIf it is done.

.NOTES
    Needs the module Microsoft.Graph.Authentication, on Windows PowerShell 5.1 or PowerShell 7, and an account with the
    Entra role Cloud Application Administrator.

    Exit codes:
    0  all is as asked for (with -WhatIf: would be)
    1  not connected to Microsoft Graph, or without the permission Application.ReadWrite.All
    3  there is no registration with that id, or several have that name
    5  a role or scope of that name is there with another id
    6  Graph refused something; its own words follow
#>
#Requires -Version 5.1
[CmdletBinding(SupportsShouldProcess)]
param(
    [guid] $ApplicationId,
    [ValidateLength(1, 120)] [string] $DisplayName = 'Mailroom API',
    [switch] $WithoutAzureCli,
    [switch] $WithoutAssignment
)

# https://learn.microsoft.com/troubleshoot/entra/entra-id/governance/verify-first-party-apps-sign-in
$azureCli = '04b07795-8ddb-461a-bbee-02f9e1bf7b46'
$tries = 12 # a minute: what was made is not at once everywhere
$doing = 'show the connection'

trap {
    $Host.UI.WriteErrorLine("Graph refused to ${doing}: $($_.Exception.Message)")
    exit 6
}

function Stop-Here([int] $Code, [string] $Sentence) {
    $Host.UI.WriteErrorLine($Sentence)
    exit $Code
}

function Assert-Connected {
    $connect = 'Run Connect-MgGraph -Scopes Application.ReadWrite.All, then this again'
    if (-not (Get-Command Get-MgContext -ErrorAction SilentlyContinue)) {
        Stop-Here 1 "Not connected to Microsoft Graph. $connect; the module for it: Install-Module Microsoft.Graph.Authentication."
    }
    $context = Get-MgContext
    if (-not $context) {
        Stop-Here 1 "Not connected to Microsoft Graph. $connect."
    }
    if ('Application.ReadWrite.All' -notin @($context.Scopes)) {
        Stop-Here 1 "The connection may not change registrations. $connect."
    }
    Write-Host "Connected to the tenant $($context.TenantId)."
}

# A new object is not at once on every server of Entra: 404 is asked again, for a while.
function Invoke-Graph([string] $Method, [string] $Path, $Body) {
    $request = @{ Method = $Method; Uri = "/v1.0/$Path"; OutputType = 'PSObject'; ErrorAction = 'Stop' }
    if ($null -ne $Body) {
        $request['Body'] = ConvertTo-Json -InputObject $Body -Depth 8
        $request['ContentType'] = 'application/json'
    }
    for ($try = 1; ; $try++) {
        try {
            return Invoke-MgGraphRequest @request
        } catch {
            if ($Method -eq 'GET' -or $try -ge $tries -or "$($_.Exception.Message)" -notmatch 'NotFound|does not exist') {
                throw
            }
            Start-Sleep -Seconds 5
        }
    }
}

function Read-Json([string] $Name) {
    $file = Join-Path (Join-Path (Join-Path $PSScriptRoot '..') 'infra') $Name
    return ConvertFrom-Json ([System.IO.File]::ReadAllText($file))
}

# Whether an object has every property of another one; lists in any order.
function Test-Alike($Present, $Wanted) {
    foreach ($property in $Wanted.PSObject.Properties) {
        $have = @($Present.($property.Name) | ForEach-Object { "$_" } | Sort-Object) -join ' '
        $want = @($property.Value | ForEach-Object { "$_" } | Sort-Object) -join ' '
        if ($have -cne $want) { return $false }
    }
    return $true
}

# What is there, with what is wanted in its place; $null when nothing would change.
function Get-Merged($Present, $Wanted, [string] $What) {
    $changed = $false
    foreach ($one in $Wanted) {
        $namesake = @($Present | Where-Object { $_.value -eq $one.value -and $_.id -ne $one.id })
        if ($namesake.Count -gt 0) {
            Stop-Here 5 "The registration has a $What '$($one.value)' with the id $($namesake[0].id), not $($one.id). Disable and delete it there, then run this again."
        }
        $same = @($Present | Where-Object { $_.id -eq $one.id })
        if ($same.Count -eq 0 -or -not (Test-Alike $same[0] $one)) { $changed = $true }
    }
    if (-not $changed) { return $null }
    $ids = @($Wanted | ForEach-Object { $_.id })
    return , @(@($Present | Where-Object { $_.id -notin $ids }) + @($Wanted))
}

# One change: asked for, made and said. $true when it was made.
function Set-Part([string] $Action, [string] $Target, [string] $Method, [string] $Path, $Body) {
    if (-not $PSCmdlet.ShouldProcess($Target, $Action)) { return $false }
    $script:doing = $Action
    $null = Invoke-Graph $Method $Path $Body
    Write-Host "${Action}: $Target"
    $script:changes++
    return $true
}

Assert-Connected
$changes = 0
$roles = @(Read-Json 'app-roles.json' | ForEach-Object { $_ })
$scopes = @((Read-Json 'api-scopes.json').api.oauth2PermissionScopes)

# The registration
$doing = 'look for the registration'
$select = '$select=id,appId,displayName,identifierUris,appRoles,api'
if ($PSBoundParameters.ContainsKey('ApplicationId')) {
    $found = @((Invoke-Graph 'GET' "applications?`$filter=appId eq '$ApplicationId'&$select").value)
    if ($found.Count -eq 0) { Stop-Here 3 "There is no registration with the application id $ApplicationId in this tenant." }
} else {
    $quoted = [uri]::EscapeDataString($DisplayName.Replace("'", "''"))
    $found = @((Invoke-Graph 'GET' "applications?`$filter=displayName eq '$quoted'&$select").value)
    if ($found.Count -gt 1) { Stop-Here 3 "Several registrations are called '$DisplayName'. Give the -ApplicationId of the one that is meant." }
}
$registration = $found[0]
if (-not $registration) {
    if ($PSCmdlet.ShouldProcess($DisplayName, 'Make the app registration')) {
        $doing = 'make the app registration'
        $registration = Invoke-Graph 'POST' 'applications' @{ displayName = $DisplayName; signInAudience = 'AzureADMyOrg' }
        Write-Host "Make the app registration: $DisplayName"
        $changes++
    } else {
        # With -WhatIf: what would follow is said all the same.
        $registration = [pscustomobject] @{ id = 'new'; appId = 'new'; displayName = $DisplayName; identifierUris = @(); appRoles = @(); api = $null }
    }
}
$name = $registration.displayName
$path = "applications/$($registration.id)"
$address = "api://$($registration.appId)"
if ($address -notin @($registration.identifierUris)) {
    $null = Set-Part "Add the address $address" $name 'PATCH' $path @{ identifierUris = [string[]] @(@($registration.identifierUris | Where-Object { $_ }) + $address) }
}
$merged = Get-Merged @($registration.appRoles | Where-Object { $_ }) $roles 'role'
if ($null -ne $merged) {
    $null = Set-Part "Set the app roles $(($roles | ForEach-Object { $_.value }) -join ', ')" $name 'PATCH' $path @{ appRoles = @($merged | ForEach-Object { $_ }) }
}

# The scopes. api is written as it was read, so that what else stands in it stays.
$api = @{}
if ($registration.api) { foreach ($property in $registration.api.PSObject.Properties) { $api[$property.Name] = $property.Value } }
$merged = Get-Merged @($api['oauth2PermissionScopes'] | Where-Object { $_ }) $scopes 'scope'
if ($null -ne $merged) {
    $api['oauth2PermissionScopes'] = @($merged | ForEach-Object { $_ })
    $null = Set-Part "Set the scopes $(($scopes | ForEach-Object { $_.value }) -join ', ')" $name 'PATCH' $path @{ api = $api }
}

# An application can be named for a scope only when the scope is there: hence a request of its own.
if (-not $WithoutAzureCli) {
    $ids = @($scopes | ForEach-Object { $_.id })
    $known = @($api['preAuthorizedApplications'] | Where-Object { $_ })
    $present = @($known | Where-Object { $_.appId -eq $azureCli } | ForEach-Object { $_.delegatedPermissionIds } | Where-Object { $_ })
    if (@($ids | Where-Object { $_ -notin $present }).Count -gt 0) {
        $cli = [pscustomobject] @{ appId = $azureCli; delegatedPermissionIds = [string[]] @($present + $ids | Sort-Object -Unique) }
        $api['preAuthorizedApplications'] = @(@($known | Where-Object { $_.appId -ne $azureCli }) + $cli)
        $null = Set-Part 'Let the Azure CLI ask for the scopes' $name 'PATCH' $path @{ api = $api }
    }
}

# The enterprise application
$doing = 'look for the enterprise application'
$principal = $null
if ($registration.id -ne 'new') {
    $principal = @((Invoke-Graph 'GET' "servicePrincipals?`$filter=appId eq '$($registration.appId)'&`$select=id,appRoleAssignmentRequired").value)[0]
}
$required = -not $WithoutAssignment
if (-not $principal) {
    $null = Set-Part 'Make the enterprise application' $name 'POST' 'servicePrincipals' @{ appId = $registration.appId; appRoleAssignmentRequired = $required }
} elseif ([bool] $principal.appRoleAssignmentRequired -ne $required) {
    $said = if ($required) { 'Give tokens only to those who are assigned' } else { 'Give tokens to everyone in the tenant' }
    $null = Set-Part $said $name 'PATCH' "servicePrincipals/$($principal.id)" @{ appRoleAssignmentRequired = $required }
}

if ($changes -eq 0 -and -not $WhatIfPreference) { Write-Host 'Nothing to change.' }
if ($registration.id -ne 'new') {
    $doing = 'show the enterprise application'
    $principal = @((Invoke-Graph 'GET' "servicePrincipals?`$filter=appId eq '$($registration.appId)'&`$select=id").value)[0]
    Write-Host "apiClientId (MAIL_API_CLIENT_ID): $($registration.appId)"
    if ($principal) { Write-Host "Object id of the enterprise application, to assign roles of: $($principal.id)" }
}
exit 0
