using 'main.bicep'

// Where <environment> is. `make deploy ENV=<environment>` and `make secret` read these two lines:
// subscription: <subscription>
// resource group: <resource group>

// What is left out has its default; infra/main.bicep describes every parameter.
param environmentName = '<environment>'

// The mailbox that routes send from, and whom they send to. Empty: routes answer 503.
param mailSender = ''
param mailTo = ''

// The mailboxes that any mail may be sent as, separated by spaces. Empty: none but mailSender, for routes.
param allowedSenders = ''

// Whom any mail may go to, separated by spaces: addresses, *@contoso.com. Empty: anyone.
param allowedRecipients = ''

// Whom Azure mails alerts to. Empty: nobody is told when something is wrong.
param alertEmail = ''

// Mail over HTTP: the app registration of scripts/register-api.ps1, and what each application may do.
param apiClientId = ''
param callers = {
  // '<application (client) id>': { senders: ['alerts@contoso.com'] }
}

// Who may put messages into a queue.
param producers = [
  // { principalId: '<object id of its identity>', queue: 'mail-outbox' }
]

// Other settings, by their names in the README. Secrets are none of them: `make secret` puts them into the vault.
param mailSettings = {
  // MAIL_MODE: 'redirect'
  // MAIL_REDIRECT_TO: 'you@contoso.com'
}

// public or private: docs/deploy.md.
param network = 'public'

// The object ids of people and groups who may put secrets into the vault.
param secretsOfficerPrincipalIds = ['<your object id>']
