<#
.SYNOPSIS
    Lets Mailroom's managed identity send as the mailboxes given, and as no other.

.DESCRIPTION
    Uses Exchange Online's role based access control for applications: the identity is made known to Exchange, a
    management scope holds the sender mailboxes, and role assignments give the identity "Application Mail.Send" and what
    else Mailroom needs inside that scope. No permission in Entra is needed beside it, and none may stand beside it:
    grants add up, and one in Entra is for every mailbox of the tenant.
    https://learn.microsoft.com/exchange/permissions-exo/application-rbac

    Run it again whenever something changes. What is right stays untouched; -Mailbox and the switches are the whole of
    what is wanted, so a mailbox that is left out leaves the scope, and a permission that is left out is taken away.
    Nothing of another application is changed: where a scope or a name is not this script's, it stops.

    How mailboxes are put in the scope: by a recipient filter on each one's ExternalDirectoryObjectId, the object id of
    its user in Entra. It is one of the properties confirmed for such filters
    (https://learn.microsoft.com/powershell/exchange/recipientfilter-properties) and the one in Microsoft's own example
    of a scope (https://learn.microsoft.com/graph/api/unifiedrbacapplication-list-customappscopes). Not by address:
    a filter on an address finds aliases too, so whoever can move an address could move the permission. Not by
    distinguished name or MemberOfGroup, which holds one: these do not survive Microsoft's moving a tenant
    (https://github.com/MicrosoftDocs/office-docs-powershell/pull/11369); and with a group whoever may edit its members
    may widen the scope. The price is the length: 2048 characters are the longest recipient filter that Microsoft
    documents (https://learn.microsoft.com/powershell/module/exchangepowershell/new-dynamicdistributiongroup), which
    is room for 25 mailboxes.

.PARAMETER ApplicationId
    The application (client) id of the identity: clientId in
    az identity show --resource-group <group> --name <identity> --query "{application: clientId, object: principalId}"

.PARAMETER ObjectId
    The object id of the identity's ENTERPRISE APPLICATION (its service principal): principalId in the command above, or
    az ad sp show --id <application id> --query id
    The object id of an app registration is another one; with it Exchange grants nothing. A managed identity has none.

.PARAMETER Mailbox
    Every mailbox that Mailroom may send as: email address, user principal name, or object id of its user. Several are
    separated by commas or blanks, so the value of MAIL_ALLOWED_SENDERS fits as it is when it has no wildcards.

.PARAMETER DisplayName
    What the identity is called in Exchange. Used when it is made known; not changed later.

.PARAMETER ScopeName
    The name of the management scope, and with the permission behind it that of each role assignment. A second Mailroom
    in the same tenant needs another.

.PARAMETER WithoutVerification
    Does not grant Mail.Read. Mailroom reads the sender mailboxes to find out whether a mail was sent when Graph's answer
    was lost, and with MAIL_BOUNCES=true for non-delivery reports; use this with MAIL_VERIFY_SENT=false, without
    MAIL_BOUNCES.

.PARAMETER LargeAttachments
    Grants Mail.ReadWrite, which drafts with attachments above 3 MB need.

.PARAMETER TestInScope
    The mailbox that must be reached when all is done; the first of -Mailbox unless given.

.PARAMETER TestOutOfScope
    A mailbox that must not be reached, to prove that the limit holds. Any that is not in -Mailbox.

.EXAMPLE
    Connect-ExchangeOnline
    .\limit-sender-mailboxes.ps1 -ApplicationId 71487acd-ec93-476d-bd0e-6c8b31831053 -ObjectId 6233fba6-0198-4277-892f-9275bf728bcc -Mailbox mailroom@contoso.com -TestOutOfScope ceo@contoso.com -WhatIf

    Shows what would be done. Without -WhatIf it is done.

.EXAMPLE
    .\limit-sender-mailboxes.ps1 -ApplicationId 71487acd-ec93-476d-bd0e-6c8b31831053 -ObjectId 6233fba6-0198-4277-892f-9275bf728bcc -Mailbox mailroom@contoso.com, alerts@contoso.com -LargeAttachments

    Two mailboxes, and attachments above 3 MB.

.NOTES
    Needs the module ExchangeOnlineManagement 3.0.0 or newer, on Windows PowerShell 5.1 or PowerShell 7, and an account in
    the role group Organization Management (the Entra role Exchange Administrator).

    Exit codes:
    0  all is as asked for (with -WhatIf: would be)
    1  not connected to Exchange Online, or the account may not run a cmdlet that is needed
    2  the arguments do not fit together
    3  a mailbox was not found, or a name fits several
    4  the identity is not known, or its two ids do not belong together
    5  the scope, or the name of an assignment, belongs to something else
    6  Exchange refused something; its own words follow
    7  done, and the test says that a sender mailbox is not reached
    8  done, and the identity reaches more than it should
#>
#Requires -Version 5.1
[CmdletBinding(SupportsShouldProcess)]
param(
    [Parameter(Mandatory)] [guid] $ApplicationId,
    [Parameter(Mandatory)] [guid] $ObjectId,
    [Parameter(Mandatory)] [string[]] $Mailbox,
    [ValidateLength(1, 64)] [string] $DisplayName = 'Mailroom',
    # Names of assignments have at most 64 characters: this, a blank, and "Mail.ReadWrite".
    [ValidateLength(1, 49)] [string] $ScopeName = 'Mailroom senders',
    [switch] $WithoutVerification,
    [switch] $LargeAttachments,
    [string] $TestInScope,
    [string] $TestOutOfScope
)

$most = 25
$doing = 'show the connection'

# Cmdlets of a module do not see this script's $ErrorActionPreference, and Exchange reports some refusals as errors that
# end nothing: each call says -ErrorAction Stop, and what is thrown ends here.
trap {
    $Host.UI.WriteErrorLine("Exchange refused to ${doing}: $($_.Exception.Message)")
    exit 6
}

function Stop-Here([int] $Code, [string] $Sentence) {
    $Host.UI.WriteErrorLine($Sentence)
    exit $Code
}

function Assert-Connected {
    $connect = 'Run Connect-ExchangeOnline, then this again'
    if (-not (Get-Command Get-ConnectionInformation -ErrorAction SilentlyContinue)) {
        Stop-Here 1 "Not connected to Exchange Online. $connect; the module for it: Install-Module ExchangeOnlineManagement."
    }
    $open = @(Get-ConnectionInformation -ErrorAction Stop | Where-Object { $_.State -eq 'Connected' -and "$($_.IsEopSession)" -ne 'True' })
    if ($open.Count -eq 0) {
        Stop-Here 1 "Not connected to Exchange Online. $connect."
    }
    $tenants = @($open | ForEach-Object { "$($_.TenantID)" } | Sort-Object -Unique)
    if ($tenants.Count -gt 1) {
        Stop-Here 1 "Connected to several tenants ($($tenants -join ', ')). Run Disconnect-ExchangeOnline and connect to the one that is meant."
    }
    # Exchange gives a session only the cmdlets that its account may run.
    $needed = 'Get-Mailbox', 'Get-ServicePrincipal', 'New-ServicePrincipal', 'Get-ManagementScope', 'New-ManagementScope',
        'Set-ManagementScope', 'Get-ManagementRoleAssignment', 'New-ManagementRoleAssignment', 'Set-ManagementRoleAssignment',
        'Remove-ManagementRoleAssignment', 'Test-ServicePrincipalAuthorization'
    $missing = @($needed | Where-Object { -not (Get-Command $_ -ErrorAction SilentlyContinue) })
    if ($missing.Count -gt 0) {
        Stop-Here 1 "This account may not run $($missing -join ', '). Connect with one in the role group Organization Management."
    }
    Write-Host "Connected to the tenant $($tenants[0])."
}

# Finds one mailbox by address, user principal name or object id. By filter and not by -Identity, which takes display
# names too, and of which Microsoft warns that it can return every mailbox for a value that does not exist:
# https://learn.microsoft.com/powershell/module/exchangepowershell/get-mailbox
function Find-Mailbox([string] $Name) {
    $id = [guid]::Empty
    if ([guid]::TryParse($Name, [ref] $id)) {
        $filter = "ExternalDirectoryObjectId -eq '$id'"
    } elseif ($Name -match '^[!-~]+@[!-~]+$' -and $Name -notmatch '\*') {
        # An apostrophe is doubled: https://learn.microsoft.com/powershell/exchange/recipient-filters
        $quoted = $Name -replace "'", "''"
        $filter = "(EmailAddresses -eq '$quoted') -or (UserPrincipalName -eq '$quoted')"
    } else {
        Stop-Here 2 "'$Name' is neither an email address nor an object id. Name each mailbox in full; wildcards cannot be limited to mailboxes."
    }
    $found = @(Get-Mailbox -Filter $filter -ErrorAction Stop)
    if ($found.Count -eq 0) {
        Stop-Here 3 "There is no mailbox '$Name' in this tenant."
    }
    if ($found.Count -gt 1) {
        Stop-Here 3 "'$Name' is an address of one mailbox and the user principal name of another. Give the object id of its user."
    }
    if (-not [guid]::TryParse("$($found[0].ExternalDirectoryObjectId)", [ref] $id) -or $id -eq [guid]::Empty) {
        Stop-Here 3 "The mailbox '$Name' has no user in Entra, so it cannot be put in a scope."
    }
    return [pscustomobject] @{ Name = $Name; Id = "$id"; Guid = "$($found[0].Guid)" }
}

# The object ids in a filter of this script's form, whatever brackets Exchange has put around them; $null for any other.
function Get-FilterId([string] $Filter) {
    $clause = "ExternalDirectoryObjectId\s+-eq\s+'([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})'"
    $bare = [regex]::Replace($Filter, $clause, '@', 'IgnoreCase') -replace '[()\s]', ''
    if ($bare -notmatch '^@(-or@)*$') {
        return $null
    }
    return @([regex]::Matches($Filter, $clause, 'IgnoreCase') | ForEach-Object { $_.Groups[1].Value.ToLowerInvariant() } | Sort-Object -Unique)
}

# Whether a value that Exchange shows names this object, by whatever identifies it.
function Test-Same([string] $Value, $Object) {
    return $Value -ne '' -and $Value -in @($Object.Name, $Object.Identity, $Object.DistinguishedName, $Object.Guid | ForEach-Object { "$_" })
}

# The roles with which the identity reaches a mailbox. InScope is text ("True", "False", "Not Run"), and any text is true.
# https://learn.microsoft.com/powershell/module/exchangepowershell/test-serviceprincipalauthorization
function Get-Reached($Box) {
    $script:doing = "test the identity on '$($Box.Name)'"
    $rows = @(Test-ServicePrincipalAuthorization -Identity "$ApplicationId" -Resource $Box.Guid -ErrorAction Stop)
    return @($rows | Where-Object { "$($_.InScope)" -eq 'True' })
}

function New-Step([string] $Action, [string] $Target, [string] $Cmdlet, [hashtable] $Parameters) {
    return [pscustomobject] @{ Action = $Action; Target = $Target; Cmdlet = $Cmdlet; Parameters = $Parameters }
}

Assert-Connected

# What is wanted
$names = @($Mailbox | ForEach-Object { $_ -split '[\s,;]+' } | Where-Object { $_ })
if ($names.Count -eq 0) {
    Stop-Here 2 '-Mailbox names no mailbox. To take everything away, see docs/sender-mailboxes.md.'
}
if ($ApplicationId -eq $ObjectId) {
    Stop-Here 2 "-ObjectId is the application id once more. Get the enterprise application's: az ad sp show --id $ApplicationId --query id"
}
$doing = 'look for the mailboxes'
$wanted = @($names | ForEach-Object { Find-Mailbox $_ })
$ids = @($wanted | ForEach-Object { $_.Id } | Sort-Object -Unique)
if ($ids.Count -gt $most) {
    Stop-Here 2 "$($ids.Count) mailboxes are too many: a recipient filter has room for $most. See docs/sender-mailboxes.md for more."
}
$inside = $wanted[0]
if ($TestInScope) {
    $inside = Find-Mailbox $TestInScope
    if ($inside.Id -notin $ids) {
        Stop-Here 2 "-TestInScope '$TestInScope' is not one of -Mailbox."
    }
}
if ($TestOutOfScope) {
    $outside = Find-Mailbox $TestOutOfScope
    if ($outside.Id -in $ids) {
        Stop-Here 2 "-TestOutOfScope '$TestOutOfScope' is one of -Mailbox, so Mailroom is meant to reach it."
    }
}
$filter = ($ids | ForEach-Object { "(ExternalDirectoryObjectId -eq '$_')" }) -join ' -or '
$permissions = [ordered] @{ 'Mail.Send' = $true; 'Mail.Read' = -not $WithoutVerification; 'Mail.ReadWrite' = [bool] $LargeAttachments }

# What is there. Everything is read and picked from here, for the same reason as in Find-Mailbox.
$doing = 'show what is there'
$principals = @(Get-ServicePrincipal -ErrorAction Stop | Where-Object { "$($_.AppId)" -eq "$ApplicationId" -or "$($_.ObjectId)" -eq "$ObjectId" })
$scope = @(Get-ManagementScope -ErrorAction Stop | Where-Object { $_.Name -eq $ScopeName })[0]
$assignments = @(Get-ManagementRoleAssignment -ErrorAction Stop)

$steps = @()

# The identity
foreach ($principal in $principals) {
    if ("$($principal.AppId)" -ne "$ApplicationId" -or "$($principal.ObjectId)" -ne "$ObjectId") {
        Stop-Here 4 ("Exchange knows application $($principal.AppId) with the object id $($principal.ObjectId), not $ApplicationId with $ObjectId. " +
            "Compare with: az ad sp show --id $ApplicationId --query id. If Exchange's are wrong: Remove-ServicePrincipal -Identity $($principal.ObjectId)")
    }
}
if ($principals.Count -eq 0) {
    $steps += New-Step 'Make the identity known to Exchange' "$DisplayName ($ApplicationId)" 'New-ServicePrincipal' @{
        AppId = "$ApplicationId"; ObjectId = "$ObjectId"; DisplayName = $DisplayName
    }
}
$assignees = @("$ObjectId", "$ApplicationId") + @($principals | ForEach-Object { "$($_.Identity)", "$($_.Guid)", "$($_.DistinguishedName)" } | Where-Object { $_ })
$mine = @($assignments | Where-Object { "$($_.RoleAssigneeType)" -eq 'ServicePrincipal' -and "$($_.RoleAssignee)" -in $assignees })
$others = @($assignments | Where-Object { $_.Name -notin $mine.Name })

# The scope
if (-not $scope) {
    $steps += New-Step "Make a scope (mailboxes: $($ids.Count))" $ScopeName 'New-ManagementScope' @{
        Name = $ScopeName; RecipientRestrictionFilter = $filter
    }
} else {
    $present = Get-FilterId "$($scope.RecipientFilter)"
    if ($null -eq $present -or "$($scope.Exclusive)" -eq 'True') {
        Stop-Here 5 "The management scope '$ScopeName' was not made by this script (its filter: $($scope.RecipientFilter)). Choose another -ScopeName."
    }
    $users = @($others | Where-Object { (Test-Same "$($_.CustomResourceScope)" $scope) -or (Test-Same "$($_.CustomRecipientWriteScope)" $scope) })
    if ($users.Count -gt 0) {
        Stop-Here 5 "The management scope '$ScopeName' serves others too ($(($users | ForEach-Object { $_.Name }) -join ', ')). Choose another -ScopeName."
    }
    if ((@($present) -join ' ') -ne ($ids -join ' ')) {
        $added = @($ids | Where-Object { $_ -notin $present }).Count
        $gone = @($present | Where-Object { $_ -notin $ids }).Count
        $steps += New-Step "Change the scope (mailboxes in: $added, out: $gone)" $ScopeName 'Set-ManagementScope' @{
            Identity = $ScopeName; RecipientRestrictionFilter = $filter
        }
    }
}

# The permissions: what is taken away first
$kept = @()
$grants = @()
foreach ($permission in $permissions.Keys) {
    $role = "Application $permission"
    $name = "$ScopeName $permission"
    $ours = @($mine | Where-Object { "$($_.Role)" -eq $role -and ($_.Name -eq $name -or ($scope -and (Test-Same "$($_.CustomResourceScope)" $scope))) })
    $kept += $ours
    if (-not $permissions[$permission]) {
        foreach ($assignment in $ours) {
            # Remove-* asks by itself; this script has asked already.
            $steps += New-Step "Take $permission away" $assignment.Name 'Remove-ManagementRoleAssignment' @{ Identity = $assignment.Name; Confirm = $false }
        }
        continue
    }
    foreach ($assignment in $ours) {
        if (-not ($scope -and (Test-Same "$($assignment.CustomResourceScope)" $scope))) {
            $grants += New-Step "Limit $permission to the scope" $assignment.Name 'Set-ManagementRoleAssignment' @{ Identity = $assignment.Name; CustomResourceScope = $ScopeName }
        }
        if ("$($assignment.Enabled)" -eq 'False') {
            $grants += New-Step "Enable $permission" $assignment.Name 'Set-ManagementRoleAssignment' @{ Identity = $assignment.Name; Enabled = $true }
        }
    }
    if ($ours.Count -eq 0) {
        if (@($assignments | Where-Object { $_.Name -eq $name }).Count -gt 0) {
            Stop-Here 5 "The role assignment '$name' is not this identity's for $role. Choose another -ScopeName."
        }
        $grants += New-Step "Grant $permission in the scope" $name 'New-ManagementRoleAssignment' @{
            Name = $name; App = "$ObjectId"; Role = $role; CustomResourceScope = $ScopeName
        }
    }
}
$steps += $grants
$beyond = @($mine | Where-Object { $_.Name -notin $kept.Name -and "$($_.Enabled)" -ne 'False' })

# Do it
if ($steps.Count -eq 0) {
    Write-Host 'Nothing to change.'
}
foreach ($step in $steps) {
    if ($PSCmdlet.ShouldProcess($step.Target, $step.Action)) {
        $parameters = $step.Parameters
        try {
            & $step.Cmdlet @parameters -ErrorAction Stop | Out-Null
        } catch {
            if ($step.Cmdlet -eq 'New-ServicePrincipal') {
                Stop-Here 4 ("Exchange does not take the identity: $($_.Exception.Message) " +
                    "Compare the ids with: az ad sp show --id $ApplicationId --query `"{application: appId, object: id}`"")
            }
            Stop-Here 6 "Exchange refused $($step.Cmdlet) for '$($step.Target)': $($_.Exception.Message)"
        }
        Write-Host "$($step.Action): $($step.Target)"
    }
}

$code = 0
foreach ($assignment in $beyond) {
    $code = 8
    $Host.UI.WriteErrorLine("The identity also holds $($assignment.Role) through '$($assignment.Name)', outside this scope. " +
        "If it should not: Remove-ManagementRoleAssignment -Identity '$($assignment.Name -replace "'", "''")'")
}

# Try it
if ($WhatIfPreference) {
    Write-Host 'Not tested, as nothing was changed.'
} else {
    $reached = @(Get-Reached $inside)
    $missing = @($permissions.Keys | Where-Object { $permissions[$_] -and "Application $_" -notin $reached.RoleName })
    if ($missing.Count -gt 0) {
        if ($code -eq 0) { $code = 7 }
        $Host.UI.WriteErrorLine("The identity does not reach '$($inside.Name)' with $($missing -join ', '). " +
            'If something was changed just now, run this again in a few minutes; it changes nothing that is right.')
    } else {
        Write-Host "Test: reaches '$($inside.Name)', as it should."
    }
    if ($TestOutOfScope) {
        $reached = @(Get-Reached $outside)
        foreach ($row in $reached) {
            $code = 8
            $Host.UI.WriteErrorLine("The identity reaches '$($outside.Name)' with $($row.RoleName), through the scope '$($row.AllowedResourceScope)'.")
        }
        if ($reached.Count -eq 0) {
            Write-Host "Test: does not reach '$($outside.Name)', as it should not."
        }
    } else {
        Write-Host 'Not tested that others are out of reach: give any other mailbox as -TestOutOfScope.'
    }
    Write-Host 'Exchange acts on changes within 30 minutes to 2 hours; the tests do not wait for that.'
}
Write-Warning ('Permissions in Entra add up with these, reach every mailbox, and cannot be seen from here. This should print []: ' +
    "az rest --url `"https://graph.microsoft.com/v1.0/servicePrincipals/$ObjectId/appRoleAssignments`" --query `"value[].{id: id, resource: resourceDisplayName, role: appRoleId}`"")
exit $code
