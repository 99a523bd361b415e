metadata description = 'Names of resources, made of the environment\'s name: whatever it holds, each name is one that Azure takes.'

// Azure's rules: https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules. An azd
// environment has up to 64 letters, digits and -._(), of which a storage account takes none but the letters and digits.
// So what people recognise is filtered and cut, and a hash of the whole name, its case and signs too, tells two apart.

@description('Only the small letters and digits of a text.')
func alphanumeric(text string) string =>
  join(
    filter(
      map(range(0, length(text)), at => substring(toLower(text), at, 1)),
      sign => contains('abcdefghijklmnopqrstuvwxyz0123456789', sign)
    ),
    ''
  )

@description('The words of an environment\'s name, in small letters and digits, with one dash between them.')
func words(environmentName string) string[] =>
  filter(map(split(environmentName, ['-', '.', '_', '(', ')', ' ']), word => alphanumeric(word)), word => !empty(word))

@description('What people recognise: at most 13 signs, so that a function app has 32, which is what its host id is made of.')
func readable(environmentName string) string[] =>
  filter(split(take(join(words(environmentName), '-'), 13), '-'), word => !empty(word))

@export()
@description('Ends the names of resources that take dashes: some 27 signs of a-z, 0-9 and single dashes, a letter or digit at each end. hash: 13 signs that tell this environment from others.')
func dashed(environmentName string, hash string) string => join(concat(readable(environmentName), [hash]), '-')

@export()
@description('The name of what takes letters and digits only, and at most 24: storage accounts. prefix: two letters.')
func solid(prefix string, environmentName string, hash string) string =>
  '${prefix}${take(join(words(environmentName), ''), 9)}${hash}'

@export()
@description('The name of a vault: at most 24, dashes too, and a letter first.')
func vaultOf(environmentName string, hash string) string => 'kv-${take(join(words(environmentName), ''), 8)}${hash}'
