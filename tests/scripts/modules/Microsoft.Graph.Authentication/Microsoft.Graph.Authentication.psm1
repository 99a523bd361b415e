# Stands in for Microsoft's module and for Graph behind it, as far as scripts/register-api.ps1 needs them.
#
# What Entra knows is in the JSON file named by DIRECTORY_STATE, and changes there; each request is added as a line of JSON
# to the file beside it, .calls. Rules are those of https://learn.microsoft.com/graph/api/resources/application and of
# https://learn.microsoft.com/entra/identity-platform/reference-app-manifest; above each is what it takes from there.

$known = $null

function ConvertTo-Value([System.Text.Json.JsonElement] $Element) {
    switch ("$($Element.ValueKind)") {
        'Object' {
            $value = [ordered] @{}
            foreach ($property in $Element.EnumerateObject()) { $value[$property.Name] = ConvertTo-Value $property.Value }
            return [pscustomobject] $value
        }
        'Array' { return , @(foreach ($each in $Element.EnumerateArray()) { ConvertTo-Value $each }) }
        'String' { return $Element.GetString() }
        'Number' { return $Element.GetInt32() }
        'True' { return $true }
        'False' { return $false }
        'Null' { return $null }
    }
}

# Part of PowerShell itself; exported only where that has none, as a PowerShell for tests may not.
function ConvertFrom-Json([Parameter(Position = 0)] [string] $InputObject) {
    return ConvertTo-Value ([System.Text.Json.JsonDocument]::Parse($InputObject).RootElement)
}

function Read-State {
    if (-not $script:known) { $script:known = ConvertFrom-Json ([System.IO.File]::ReadAllText($env:DIRECTORY_STATE)) }
    return $script:known
}

function Write-State { [System.IO.File]::WriteAllText($env:DIRECTORY_STATE, (ConvertTo-Json $script:known -Depth 12)) }

function Get-MgContext {
    [CmdletBinding()]
    param()
    return (Read-State).context
}

function Connect-MgGraph {
    [CmdletBinding()]
    param([string[]] $Scopes)
}

function Deny([string] $Code, [string] $Why) { throw "Response status code does not indicate success: $Code. $Why" }

# "The value of each role and scope must be unique within the application", but for one of each that are alike.
function Assert-Unique($Application) {
    $scopes = @($Application.api.oauth2PermissionScopes | Where-Object { $_ })
    foreach ($list in @($Application.appRoles), $scopes) {
        foreach ($part in 'id', 'value') {
            $all = @($list | ForEach-Object { $_.$part })
            if (@($all | Sort-Object -Unique).Count -ne $all.Count) { Deny 'BadRequest' "Duplicate $part in the application." }
        }
    }
    foreach ($scope in $scopes) {
        $role = @($Application.appRoles | Where-Object { $_.value -eq $scope.value })[0]
        if ($role -and ($role.id -ne $scope.id -or $role.description -ne $scope.adminConsentDescription)) {
            Deny 'BadRequest' "It contains a duplicate value: $($scope.value)."
        }
    }
}

# What is enabled cannot be deleted: it has to be disabled first.
function Assert-Kept($Before, $After, [string] $What) {
    foreach ($one in @($Before | Where-Object { $_ -and $_.isEnabled })) {
        if ($one.id -notin @($After | ForEach-Object { $_.id })) { Deny 'BadRequest' "Permission (scope or role) cannot be deleted or updated unless disabled first: $What $($one.value)." }
    }
}

# preAuthorizedApplications: delegatedPermissionIds are ids of scopes that the application has already.
function Set-Application($Application, $Body) {
    $before = ConvertFrom-Json (ConvertTo-Json $Application -Depth 12)
    foreach ($property in $Body.PSObject.Properties) {
        if ($property.Name -notin 'identifierUris', 'appRoles', 'api') { Deny 'BadRequest' "The property $($property.Name) is none." }
        $Application.($property.Name) = $property.Value
    }
    foreach ($uri in @($Application.identifierUris)) {
        if ($uri -notmatch "^(api://$($Application.appId)|https://)") { Deny 'BadRequest' "The identifier URI $uri is not allowed." }
    }
    $there = @($before.api.oauth2PermissionScopes | Where-Object { $_ } | ForEach-Object { $_.id })
    foreach ($client in @($Application.api.preAuthorizedApplications | Where-Object { $_ })) {
        foreach ($id in @($client.delegatedPermissionIds)) { if ($id -notin $there) { Deny 'BadRequest' "The permission $id cannot be found." } }
    }
    Assert-Unique $Application
    Assert-Kept $before.appRoles $Application.appRoles 'role'
    Assert-Kept $before.api.oauth2PermissionScopes $Application.api.oauth2PermissionScopes 'scope'
}

# Body: JSON here. What is not found at once after it was made: "late" in the state counts the refusals.
function Invoke-MgGraphRequest {
    [CmdletBinding()]
    param(
        [Parameter(Mandatory)] [string] $Method, [Parameter(Mandatory)] [string] $Uri, [string] $Body, [string] $ContentType,
        [string] $OutputType
    )
    $line = ConvertTo-Json ([pscustomobject] @{ method = $Method; uri = $Uri; body = $Body }) -Compress
    [System.IO.File]::AppendAllText("$env:DIRECTORY_STATE.calls", "$line`n")
    $state = Read-State
    if ($OutputType -ne 'PSObject') { Deny 'BadRequest' 'The fake gives objects only.' }
    if ("$Method $Uri" -match $state.refused) { Deny 'Forbidden' 'Insufficient privileges to complete the operation.' }
    $given = $null
    if ($Body) {
        if ($ContentType -ne 'application/json') { Deny 'BadRequest' 'The body is no JSON.' }
        $given = ConvertFrom-Json $Body
    }
    $kind, $rest = ($Uri -replace '^/v1\.0/', '') -split '[/?]', 2
    if ($kind -notin 'applications', 'servicePrincipals') { Deny 'NotFound' "Resource not found for the segment '$kind'." }
    if ($Method -eq 'GET') {
        if ($rest -notmatch "^\`$filter=(appId|displayName) eq '((?:[^']|'')*)'&\`$select=") { Deny 'BadRequest' 'Invalid filter clause.' }
        $field, $value = $Matches[1], [uri]::UnescapeDataString($Matches[2]).Replace("''", "'")
        return [pscustomobject] @{ value = @($state.$kind | Where-Object { $_.$field -eq $value }) }
    }
    if ($Method -eq 'POST' -and $kind -eq 'applications') {
        $new = [pscustomobject] @{
            id = 'object-of-new'; appId = '99999999-0000-4000-8000-000000000001'; displayName = $given.displayName
            identifierUris = @(); appRoles = @(); api = [pscustomobject] @{ oauth2PermissionScopes = @(); preAuthorizedApplications = @() }
        }
        $state.applications = @($state.applications) + $new
    } elseif ($Method -eq 'POST') {
        $new = [pscustomobject] @{ id = 'principal-of-new'; appId = $given.appId; appRoleAssignmentRequired = $given.appRoleAssignmentRequired }
        $state.servicePrincipals = @($state.servicePrincipals) + $new
    } else {
        if ($state.late -gt 0) { $state.late--; Write-State; Deny 'NotFound' "Request_ResourceNotFound: Resource '$rest' does not exist." }
        $new = @($state.$kind | Where-Object { $_.id -eq $rest })[0]
        if (-not $new) { Deny 'NotFound' "Request_ResourceNotFound: Resource '$rest' does not exist." }
        if ($kind -eq 'applications') { Set-Application $new $given } else { $new.appRoleAssignmentRequired = $given.appRoleAssignmentRequired }
    }
    Write-State
    return $new
}

$exported = @('Get-MgContext', 'Connect-MgGraph', 'Invoke-MgGraphRequest')
if (-not (Get-Command ConvertFrom-Json -CommandType Cmdlet -ErrorAction SilentlyContinue)) { $exported += 'ConvertFrom-Json' }
Export-ModuleMember -Function $exported
