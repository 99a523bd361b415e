# Runs scripts or commands with a module of fakes, one after the other in this one PowerShell, as starting one takes longer
# than all of them together. Standard input, a line of JSON for each: {"module": name, "run": path or command,
# "with": {name: value}}. After what it prints comes a line <<exit code>>; 99 when an error ended it that nothing caught.
while ($null -ne ($line = [Console]::In.ReadLine())) {
    $job = [System.Text.Json.JsonDocument]::Parse($line).RootElement
    $with = @{}
    foreach ($property in $job.GetProperty('with').EnumerateObject()) {
        $value = $property.Value
        $with[$property.Name] = switch ("$($value.ValueKind)") {
            'Array' { , @($value.EnumerateArray() | ForEach-Object { $_.GetString() }) }
            'String' { $value.GetString() }
            default { $value.GetBoolean() }
        }
    }
    $name = $job.GetProperty('module').GetString()
    Import-Module (Join-Path $PSScriptRoot "modules/$name/$name.psm1") -Force
    $global:LASTEXITCODE = 0
    try {
        & $job.GetProperty('run').GetString() @with | ForEach-Object { [Console]::Out.WriteLine("$_") }
    } catch {
        [Console]::Out.WriteLine("$_")
        $global:LASTEXITCODE = 99
    }
    [Console]::Out.WriteLine("<<$LASTEXITCODE>>")
}
