# Stands in for Microsoft's module and for Exchange behind it, as far as scripts/limit-sender-mailboxes.ps1 needs them.
#
# What Exchange knows is in the JSON file named by EXCHANGE_STATE, and changes there; each call is added as a line of JSON
# to the file beside it, .calls. A cmdlet takes the parameters that its page documents for Exchange Online and that mean
# something here, and no other. As in the real module: cmdlets do not see the caller's preferences, what Exchange refuses
# is an error that ends nothing unless -ErrorAction Stop is said, and before Connect-ExchangeOnline, or without the
# role for them, the cmdlets of Exchange are not there at all.
#
# Pages are at https://learn.microsoft.com/powershell/module/exchangepowershell/<cmdlet>; above each function is what it
# takes from there.

# Read once; this module is loaded anew for each run.
$known = $null

function Read-State {
    if (-not $script:known) {
        $script:known = ConvertTo-Value ([System.Text.Json.JsonDocument]::Parse([System.IO.File]::ReadAllText($env:EXCHANGE_STATE)).RootElement)
    }
    return $script:known
}

function ConvertTo-Value([System.Text.Json.JsonElement] $Element) {
    switch ("$($Element.ValueKind)") {
        'Object' {
            $value = [ordered] @{}
            foreach ($property in $Element.EnumerateObject()) { $value[$property.Name] = ConvertTo-Value $property.Value }
            return [pscustomobject] $value
        }
        'Array' { return , @(foreach ($each in $Element.EnumerateArray()) { ConvertTo-Value $each }) }
        'String' { return $Element.GetString() }
        'True' { return $true }
        'False' { return $false }
        'Null' { return $null }
    }
    throw "The fake keeps no $($Element.ValueKind)."
}

function Write-State($State) {
    [System.IO.File]::WriteAllText($env:EXCHANGE_STATE, (ConvertTo-Json $State -Depth 9))
}

function Write-Call([string] $Cmdlet, $Bound) {
    $parameters = [ordered] @{}
    foreach ($key in @($Bound.Keys | Sort-Object)) { $parameters[$key] = "$($Bound[$key])" }
    $line = ConvertTo-Json ([pscustomobject] @{ cmdlet = $Cmdlet; parameters = $parameters }) -Compress
    [System.IO.File]::AppendAllText("$env:EXCHANGE_STATE.calls", "$line`n")
    if ($Cmdlet -in (Read-State).failing) { throw 'The server side is busy.' }
}

# An error that ends nothing by itself. (By the cmdlet's own means: it heeds -ErrorAction wherever the caller is.)
function Deny($Cmdlet, [string] $Why) {
    $Cmdlet.WriteError([System.Management.Automation.ErrorRecord]::new([Exception]::new($Why), 'Refused', 'NotSpecified', $null))
}

# Filters: https://learn.microsoft.com/powershell/exchange/recipient-filters. Values stand in single quotation marks, with
# those inside them doubled; operators begin with a hyphen; -and and -or chain, round brackets group.
# The properties are those of https://learn.microsoft.com/powershell/exchange/filter-properties for Get-Mailbox and of
# https://learn.microsoft.com/powershell/exchange/recipientfilter-properties for scopes that the mailboxes here have.
$properties = 'EmailAddresses', 'UserPrincipalName', 'ExternalDirectoryObjectId', 'Guid', 'DistinguishedName', 'Name'

function Read-Filter([string] $Text) {
    $tokens = [System.Collections.Generic.Queue[string]]::new()
    $rest = $Text
    while ($rest = $rest.TrimStart()) {
        if ($rest -notmatch "^(\(|\)|-[a-z]+(?=[\s(])|[A-Za-z]\w*|'(?:[^']|'')*')") {
            throw "Invalid filter syntax. For a description of the filter parameter syntax see the command help. `"$Text`" at position $($Text.Length - $rest.Length + 1)."
        }
        $tokens.Enqueue($Matches[1])
        $rest = $rest.Substring($Matches[1].Length)
    }
    $tree = Read-Any $tokens
    if ($tokens.Count -gt 0) { throw "Invalid filter syntax. `"$Text`": '$($tokens.Peek())' is not expected." }
    return $tree
}

function Read-Any($Tokens, [string[]] $Operators = @('-or', '-and')) {
    $operator, $deeper = $Operators
    $read = { if ($deeper) { Read-Any $Tokens $deeper } else { Read-One $Tokens } }
    $left = & $read
    while ($Tokens.Count -gt 0 -and $Tokens.Peek() -eq $operator) {
        $null = $Tokens.Dequeue()
        $left = [pscustomobject] @{ Operator = $operator; Left = $left; Right = (& $read) }
    }
    return $left
}

function Read-One($Tokens) {
    if ($Tokens.Count -eq 0) { throw 'Invalid filter syntax. It ends too soon.' }
    $token = $Tokens.Dequeue()
    if ($token -eq '(') {
        $inner = Read-Any $Tokens
        if ($Tokens.Count -eq 0 -or $Tokens.Dequeue() -ne ')') { throw 'Invalid filter syntax. A bracket is not closed.' }
        return $inner
    }
    if ($token -notin $properties) { throw "`"$token`" is not a recognized filterable property." }
    if ($Tokens.Count -lt 2 -or $Tokens.Dequeue() -ne '-eq' -or $Tokens.Peek() -notmatch "^'") { throw 'Invalid filter syntax. A property is followed by -eq and a value in single quotation marks.' }
    $value = $Tokens.Dequeue()
    $value = $value.Substring(1, $value.Length - 2).Replace("''", "'")
    $id = [guid]::Empty
    if ($token -eq 'Guid' -and -not [guid]::TryParse($value, [ref] $id)) { throw "Cannot convert the value `"$value`" to the type Guid." }
    return [pscustomobject] @{ Operator = '-eq'; Left = $token; Right = $value }
}

# A complete address needs no prefix "smtp:", and a property with several values matches when it contains the one.
function Test-Filter($Tree, $Box) {
    switch ($Tree.Operator) {
        '-or' { return (Test-Filter $Tree.Left $Box) -or (Test-Filter $Tree.Right $Box) }
        '-and' { return (Test-Filter $Tree.Left $Box) -and (Test-Filter $Tree.Right $Box) }
    }
    return $Tree.Right -in (@($Box.($Tree.Left)) -replace '^smtp:', '')
}

# Exchange keeps what it has understood, not what was typed: brackets of its own, on each pair.
function Format-Filter($Tree) {
    if ($Tree.Operator -eq '-eq') { return "$($Tree.Left) -eq '$($Tree.Right.Replace("'", "''"))'" }
    return '((' + (Format-Filter $Tree.Left) + ') ' + $Tree.Operator + ' (' + (Format-Filter $Tree.Right) + '))'
}

# get-connectioninformation: State, TenantID, IsEopSession (true for Security & Compliance). Part of the module itself.
function Get-ConnectionInformation {
    [CmdletBinding()]
    param()
    Write-Call 'Get-ConnectionInformation' $PSBoundParameters
    return (Read-State).connections
}

# connect-exchangeonline: here the state says whether it is connected.
function Connect-ExchangeOnline {
    [CmdletBinding()]
    param()
    Write-Call 'Connect-ExchangeOnline' $PSBoundParameters
}

# get-mailbox: -Filter in OPATH.
function Get-Mailbox {
    [CmdletBinding()]
    param([string] $Filter)
    Write-Call 'Get-Mailbox' $PSBoundParameters
    try { $tree = Read-Filter $Filter } catch { Deny $PSCmdlet "$_"; return }
    foreach ($box in (Read-State).mailboxes) { if (Test-Filter $tree $box) { $box } }
}

# get-serviceprincipal. "The value $null or a non-existent value for the Identity parameter returns all objects".
function Get-ServicePrincipal {
    [CmdletBinding()]
    param([Parameter(Position = 0)] [string] $Identity)
    Write-Call 'Get-ServicePrincipal' $PSBoundParameters
    $all = (Read-State).principals
    $found = @($all | Where-Object { $Identity -in $_.AppId, $_.ObjectId, $_.DisplayName })
    if ($found.Count -gt 0) { return $found }
    return $all
}

# new-serviceprincipal: -AppId and -ObjectId are those of the enterprise application. (The page lists the deprecated
# -ServiceId as required too; its own example has only these two.)
function New-ServicePrincipal {
    [CmdletBinding(SupportsShouldProcess)]
    param([Parameter(Mandatory)] [string] $AppId, [Parameter(Mandatory)] [string] $ObjectId, [string] $DisplayName)
    Write-Call 'New-ServicePrincipal' $PSBoundParameters
    $state = Read-State
    if (@($state.entra | Where-Object { $_.AppId -eq $AppId -and $_.ObjectId -eq $ObjectId }).Count -eq 0) {
        Deny $PSCmdlet "The service principal with the AppId $AppId and the ObjectId $ObjectId couldn't be found in Microsoft Entra ID."
        return
    }
    if (@($state.principals | Where-Object { $AppId -eq $_.AppId -or $ObjectId -eq $_.ObjectId }).Count -gt 0) {
        Deny $PSCmdlet "The service principal $AppId already exists."
        return
    }
    $new = [pscustomobject] @{ AppId = $AppId; ObjectId = $ObjectId; DisplayName = $DisplayName }
    $state.principals = @($state.principals) + $new
    Write-State $state
    return $new
}

# remove-serviceprincipal: by AppId, ObjectId and others. "Remove-* cmdlets have a built-in pause that forces you to
# acknowledge the command"; here, where nobody can, it is an error.
function Remove-ServicePrincipal {
    [CmdletBinding(SupportsShouldProcess)]
    param([Parameter(Mandatory, Position = 0)] [string] $Identity)
    Write-Call 'Remove-ServicePrincipal' $PSBoundParameters
    if ("$($PSBoundParameters['Confirm'])" -ne 'False') { Deny $PSCmdlet $nobody; return }
    $state = Read-State
    $left = @($state.principals | Where-Object { $Identity -notin $_.AppId, $_.ObjectId, $_.DisplayName })
    if ($left.Count -eq @($state.principals).Count) { Deny $PSCmdlet "The service principal '$Identity' couldn't be found."; return }
    $state.principals = $left
    Write-State $state
}

$nobody = 'Are you sure you want to perform this action? Nobody is here to say so.'

# get-managementscope; the same caution about -Identity.
function Get-ManagementScope {
    [CmdletBinding()]
    param([Parameter(Position = 0)] [string] $Identity)
    Write-Call 'Get-ManagementScope' $PSBoundParameters
    $all = (Read-State).scopes
    $found = @($all | Where-Object { $_.Name -eq $Identity })
    if ($found.Count -gt 0) { return $found }
    return $all
}

# new-managementscope: "The name can be up to 64 characters." It shows the filter as RecipientFilter.
function New-ManagementScope {
    [CmdletBinding(SupportsShouldProcess)]
    param(
        [Parameter(Mandatory, Position = 0)] [ValidateLength(1, 64)] [string] $Name,
        [Parameter(Mandatory)] [string] $RecipientRestrictionFilter
    )
    Write-Call 'New-ManagementScope' $PSBoundParameters
    $state = Read-State
    try { $tree = Read-Filter $RecipientRestrictionFilter } catch { Deny $PSCmdlet "$_"; return }
    if (@($state.scopes | Where-Object { $_.Name -eq $Name }).Count -gt 0) { Deny $PSCmdlet "The management scope '$Name' already exists."; return }
    $new = [pscustomobject] @{ Name = $Name; RecipientFilter = (Format-Filter $tree); Exclusive = $false }
    $state.scopes = @($state.scopes) + $new
    Write-State $state
    return $new
}

# set-managementscope: "the updated scope applies to all the associated role assignments".
function Set-ManagementScope {
    [CmdletBinding(SupportsShouldProcess)]
    param([Parameter(Mandatory, Position = 0)] [string] $Identity, [string] $RecipientRestrictionFilter)
    Write-Call 'Set-ManagementScope' $PSBoundParameters
    $state = Read-State
    $scope = @($state.scopes | Where-Object { $_.Name -eq $Identity })[0]
    if (-not $scope) { Deny $PSCmdlet "The management scope '$Identity' couldn't be found."; return }
    try { $scope.RecipientFilter = Format-Filter (Read-Filter $RecipientRestrictionFilter) } catch { Deny $PSCmdlet "$_"; return }
    Write-State $state
}

# remove-managementscope: "You can't remove a management scope if it's associated with a management role assignment." The
# same pause.
function Remove-ManagementScope {
    [CmdletBinding(SupportsShouldProcess)]
    param([Parameter(Mandatory, Position = 0)] [string] $Identity)
    Write-Call 'Remove-ManagementScope' $PSBoundParameters
    if ("$($PSBoundParameters['Confirm'])" -ne 'False') { Deny $PSCmdlet $nobody; return }
    $state = Read-State
    if ($Identity -notin @($state.scopes | ForEach-Object { $_.Name })) { Deny $PSCmdlet "The management scope '$Identity' couldn't be found."; return }
    if ($Identity -in @($state.assignments | ForEach-Object { $_.CustomResourceScope })) { Deny $PSCmdlet "The management scope '$Identity' is in use."; return }
    $state.scopes = @($state.scopes | Where-Object { $_.Name -ne $Identity })
    Write-State $state
}

# get-managementroleassignment; the same caution about -Identity.
function Get-ManagementRoleAssignment {
    [CmdletBinding()]
    param([Parameter(Position = 0)] [string] $Identity, [string] $Role)
    Write-Call 'Get-ManagementRoleAssignment' $PSBoundParameters
    $all = @((Read-State).assignments | Where-Object { -not $Role -or $_.Role -eq $Role })
    $found = @($all | Where-Object { $_.Name -eq $Identity })
    if ($found.Count -gt 0) { return $found }
    return $all
}

# new-managementroleassignment, parameter set App: -App is the ObjectId shown by Get-ServicePrincipal; "The maximum length
# of the name is 64 characters"; without a scope the role's implicit one applies, which is everything. The roles are
# those of https://learn.microsoft.com/exchange/permissions-exo/application-rbac, as far as the state has them.
function New-ManagementRoleAssignment {
    [CmdletBinding(SupportsShouldProcess)]
    param(
        [Parameter(Position = 0)] [ValidateLength(1, 64)] [string] $Name,
        [Parameter(Mandatory)] [string] $Role,
        [Parameter(Mandatory)] [string] $App,
        [string] $CustomResourceScope
    )
    Write-Call 'New-ManagementRoleAssignment' $PSBoundParameters
    $state = Read-State
    if (@($state.principals | Where-Object { $App -in $_.ObjectId, $_.AppId }).Count -eq 0) { Deny $PSCmdlet "The service principal '$App' couldn't be found."; return }
    if ($Role -notin $state.roles) { Deny $PSCmdlet "The management role '$Role' couldn't be found."; return }
    if ($CustomResourceScope -and $CustomResourceScope -notin @($state.scopes | ForEach-Object { $_.Name })) { Deny $PSCmdlet "The management scope '$CustomResourceScope' couldn't be found."; return }
    if (-not $Name) { $Name = "$Role-$App" }
    if (@($state.assignments | Where-Object { $_.Name -eq $Name }).Count -gt 0) { Deny $PSCmdlet "The role assignment '$Name' already exists."; return }
    $new = [pscustomobject] @{
        Name = $Name; Role = $Role; RoleAssignee = $App; RoleAssigneeType = 'ServicePrincipal'; CustomResourceScope = $CustomResourceScope; Enabled = $true
    }
    $state.assignments = @($state.assignments) + $new
    Write-State $state
    return $new
}

# set-managementroleassignment, parameter set App.
function Set-ManagementRoleAssignment {
    [CmdletBinding(SupportsShouldProcess)]
    param([Parameter(Mandatory, Position = 0)] [string] $Identity, [string] $CustomResourceScope, [bool] $Enabled)
    Write-Call 'Set-ManagementRoleAssignment' $PSBoundParameters
    $state = Read-State
    $assignment = @($state.assignments | Where-Object { $_.Name -eq $Identity })[0]
    if (-not $assignment) { Deny $PSCmdlet "The role assignment '$Identity' couldn't be found."; return }
    if ($PSBoundParameters.ContainsKey('CustomResourceScope')) {
        if ($CustomResourceScope -notin @($state.scopes | ForEach-Object { $_.Name })) { Deny $PSCmdlet "The management scope '$CustomResourceScope' couldn't be found."; return }
        $assignment.CustomResourceScope = $CustomResourceScope
    }
    if ($PSBoundParameters.ContainsKey('Enabled')) { $assignment.Enabled = $Enabled }
    Write-State $state
}

# remove-managementroleassignment: the same pause.
function Remove-ManagementRoleAssignment {
    [CmdletBinding(SupportsShouldProcess)]
    param([Parameter(Mandatory, Position = 0)] [string] $Identity)
    Write-Call 'Remove-ManagementRoleAssignment' $PSBoundParameters
    if ("$($PSBoundParameters['Confirm'])" -ne 'False') { Deny $PSCmdlet $nobody; return }
    $state = Read-State
    if ($Identity -notin @($state.assignments | ForEach-Object { $_.Name })) { Deny $PSCmdlet "The role assignment '$Identity' couldn't be found."; return }
    $state.assignments = @($state.assignments | Where-Object { $_.Name -ne $Identity })
    Write-State $state
}

# test-serviceprincipalauthorization: -Identity by AppId, -Resource by whatever identifies one mailbox; a row for each assignment, with
# InScope a text: True, False, or Not Run without -Resource. ScopeType of an assignment without a scope: Organization.
# "slow" in the state: what was changed is not seen yet.
function Test-ServicePrincipalAuthorization {
    [CmdletBinding(SupportsShouldProcess)]
    param([Parameter(Mandatory, Position = 0)] [string] $Identity, [string] $Resource)
    Write-Call 'Test-ServicePrincipalAuthorization' $PSBoundParameters
    $state = Read-State
    $principal = @($state.principals | Where-Object { $Identity -in $_.AppId, $_.ObjectId, $_.DisplayName })[0]
    if (-not $principal) { Deny $PSCmdlet "The service principal '$Identity' couldn't be found."; return }
    $box = @($state.mailboxes | Where-Object { $Resource -in $_.Guid, $_.DistinguishedName, $_.Name, $_.UserPrincipalName })[0]
    if ($Resource -and -not $box) { Deny $PSCmdlet "The mailbox '$Resource' couldn't be found."; return }
    foreach ($assignment in @($state.assignments | Where-Object { $_.RoleAssignee -in $principal.ObjectId, $principal.AppId -and $_.Enabled })) {
        $scope = @($state.scopes | Where-Object { $_.Name -eq $assignment.CustomResourceScope })[0]
        $inScope = 'Not Run'
        if ($box) { $inScope = "$(-not $state.slow -and (-not $scope -or (Test-Filter (Read-Filter $scope.RecipientFilter) $box)))" }
        [pscustomobject] @{
            RoleName             = $assignment.Role
            GrantedPermissions   = $assignment.Role -replace '^Application ', ''
            AllowedResourceScope = $(if ($scope) { $scope.Name } else { 'Organization' })
            ScopeType            = $(if ($scope) { 'CustomRecipientScope' } else { 'Organization' })
            InScope              = $inScope
        }
    }
}

$own = 'Connect-ExchangeOnline', 'Get-ConnectionInformation'
$exchange = @('Get-Mailbox', 'Test-ServicePrincipalAuthorization') + @(
    'Get-ServicePrincipal', 'New-ServicePrincipal', 'Remove-ServicePrincipal'
    'Get-ManagementScope', 'New-ManagementScope', 'Set-ManagementScope', 'Remove-ManagementScope'
    'Get-ManagementRoleAssignment', 'New-ManagementRoleAssignment', 'Set-ManagementRoleAssignment', 'Remove-ManagementRoleAssignment'
)
$state = Read-State
if (@($state.connections).Count -eq 0) { $exchange = @() }
Export-ModuleMember -Function @($own + $exchange | Where-Object { $_ -notin $state.forbidden })
