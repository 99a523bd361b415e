# `make package` for Windows: the same Python environment, remade when its lock file changes, and the same package in dist/.
$ErrorActionPreference = 'Stop'
# A file that is not there is of the year 1601.
$ready, $lock = '.venv/.ready', 'requirements-dev.txt' | ForEach-Object { [System.IO.File]::GetLastWriteTimeUtc((Join-Path "$PWD" $_)) }
if ($ready.Year -lt 1970 -or $ready -lt $lock) {
    py -3.13 -m venv --clear .venv
    if ($LASTEXITCODE) { throw 'Mailroom needs Python 3.13, as Azure runs it, from python.org or the Microsoft Store.' }
    .venv/Scripts/python -m pip install --disable-pip-version-check --require-hashes --no-deps -r requirements-dev.txt
    if ($LASTEXITCODE) { throw 'The packages of requirements-dev.txt could not be installed; pip says above why.' }
    Set-Content -Path .venv/.ready -Value ''
}
$routes = if ($env:ROUTES) { '--routes', $env:ROUTES } else { @() }
.venv/Scripts/python -m deployment.package @routes
exit $LASTEXITCODE
