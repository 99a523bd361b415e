# Prints what Windows PowerShell 5.1 would not understand in a script, and what no PowerShell understands.
param([Parameter(Mandatory)] [string] $Path)
$tokens = $null
$errors = $null
$tree = [System.Management.Automation.Language.Parser]::ParseFile($Path, [ref] $tokens, [ref] $errors)
$errors | ForEach-Object { "$($_.Extent.StartLineNumber): $($_.Message)" }
$newer = 'AndAnd', 'OrOr', 'QuestionMark', 'QuestionQuestion', 'QuestionQuestionEquals', 'QuestionDot', 'QuestionLBracket', 'Clean'
$tokens | Where-Object { "$($_.Kind)" -in $newer } | ForEach-Object { "$($_.Extent.StartLineNumber): $($_.Text)" }
