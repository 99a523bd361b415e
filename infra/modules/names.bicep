metadata description = 'Names of resources, made of the environment\'s name: whatever it holds, each name is one that Azure takes.'

// Azure's rules: https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules. An azd
// environment has up to 64 letters, digits and -._(), of which a storage account takes only letters and digits.
// So the readable part is filtered and cut, and a hash of the whole name, with its case and signs, keeps names distinct.

@description('Only the lower-case letters and digits of a text.')
func alphanumeric(text string) string =>
  join(
    filter(
      map(range(0, length(text)), at => substring(toLower(text), at, 1)),
      sign => contains('abcdefghijklmnopqrstuvwxyz0123456789', sign)
    ),
    ''
  )

@description('The words of an environment\'s name, in lower-case letters and digits, with one dash between them.')
func words(environmentName string) string[] =>
  filter(map(split(environmentName, ['-', '.', '_', '(', ')', ' ']), word => alphanumeric(word)), word => !empty(word))

@description('The readable part: at most 13 characters, so that the name of a function app has 32, from which its host id is made.')
func readable(environmentName string) string[] =>
  filter(split(take(join(words(environmentName), '-'), 13), '-'), word => !empty(word))

@export()
@description('The ending of names that may have dashes: about 27 characters of a-z, 0-9 and single dashes, a letter or digit at each end. hash: 13 characters that distinguish this environment.')
func dashed(environmentName string, hash string) string => join(concat(readable(environmentName), [hash]), '-')

@export()
@description('The name of a storage account: at most 24 letters and digits. prefix: two letters.')
func solid(prefix string, environmentName string, hash string) string =>
  '${prefix}${take(join(words(environmentName), ''), 9)}${hash}'

@export()
@description('The name of a vault: at most 24 letters, digits and dashes, a letter first.')
func vaultOf(environmentName string, hash string) string => 'kv-${take(join(words(environmentName), ''), 8)}${hash}'
