metadata description = 'Log alerts on what Mailroom says of itself. docs/operations.md has a page for each.'

import { Tags } from './types.bicep'

@description('Where the rules are.')
param location string

@description('Ends the names of the rules.')
param name string

@description('Tags of every resource.')
param tags Tags

@description('The Log Analytics workspace.')
param workspaceId string

@description('Action groups to tell.')
param actionGroupIds string[]

@description('An address to tell besides; empty: none.')
param email string

// Each line is one event, named in shared/telemetry.py; a test holds the names here and there together.
var said = '''
AppTraces
| where Message startswith '{"event":"'
| extend said = parse_json(Message)
| extend event = tostring(said.event), code = tostring(said.code), queue = tostring(said.queue)
'''

// In intake-5xx: the host fails a request over 100 MB, and one whose caller went away in its middle, without asking a
// function. Anybody can do that, so such requests count only where they are many; those of which the worker tells count.

// Asked over `window`, every five minutes where it is urgent and every fifteen where not: the largest `value` of the query's rows is compared with the threshold.
var rules = [
  {
    id: 'dead-mail'
    severity: 1
    title: 'Mail will not be sent'
    text: 'A mail failed for good, or a producer\'s message is no mail or not allowed. It is kept in mail-dead.'
    window: 'PT10M'
    operator: 'GreaterThan'
    threshold: 0
    query: '''
| where event in ('mail.failed', 'mail.refused', 'mail.poisoned')
| summarize value = count() by event, code
'''
  }
  {
    id: 'held-mail'
    severity: 1
    title: 'Mail may have gone and waits for a person'
    text: 'The outcome of a mail is unknown and its mailbox could not be asked: look into the mailbox, then replay or leave it.'
    window: 'PT10M'
    operator: 'GreaterThan'
    threshold: 0
    query: '''
| where event == 'mail.held'
| summarize value = count() by code
'''
  }
  {
    id: 'resent'
    severity: 2
    title: 'Mail was sent a second time'
    text: 'The outcome of an attempt was unknown and its mailbox could not be asked, so by MAIL_ON_UNKNOWN the mail was sent again.'
    window: 'PT15M'
    operator: 'GreaterThan'
    threshold: 0
    query: '''
| where event == 'mail.resent'
| summarize value = count()
'''
  }
  {
    id: 'throttled'
    severity: 2
    title: 'Graph has throttled for longer than ten minutes'
    text: 'Graph answered 429 in three pieces of five minutes of the last thirty. Mail waits and is sent later.'
    window: 'PT30M'
    operator: 'GreaterThan'
    threshold: 2
    query: '''
| where event == 'graph.throttled'
| summarize by piece = bin(TimeGenerated, 5m)
| summarize value = count()
'''
  }
  {
    id: 'intake-5xx'
    severity: 0
    title: 'Mail or events were turned away'
    text: 'A caller was answered 5xx: storage cannot be reached, or a route cannot be used. Some senders never try again.'
    window: 'PT10M'
    operator: 'GreaterThan'
    threshold: 0
    query: '''
| where event in ('intake.unavailable', 'event.put-off')
| summarize value = count() by event
| union (
    AppRequests
    | where Success == false and OperationName in ('send_mail', 'send_mail_qualified', 'send_my_mail', 'send_my_mail_qualified', 'events')
    | join kind=leftouter (
        AppExceptions
        | where InnermostType endswith 'RpcException' or InnermostType endswith 'WorkerProcessExitException'
        | distinct OperationId
    ) on OperationId
    | summarize thrown = sumif(ItemCount, isnotempty(OperationId1)), broken = sumif(ItemCount, isempty(OperationId1)) by event = OperationName
    | where thrown > 0 or broken >= 50
    | project event, value = thrown + broken
)
'''
  }
  {
    id: 'setting-refused'
    severity: 0
    title: 'A setting cannot be used'
    text: 'Every function answers 503 until it is mended; /api/health/ready says what is wrong. Messages wait in their queues.'
    window: 'PT15M'
    operator: 'GreaterThan'
    threshold: 0
    query: '''
| where event == 'setting.refused'
| summarize value = count() by setting = tostring(said.setting)
'''
  }
  {
    id: 'silent'
    severity: 0
    title: 'Mailroom does not run'
    text: 'The timer that speaks every five minutes has been silent for thirty: no functions found, or none can run.'
    window: 'PT30M'
    operator: 'LessThan'
    threshold: 1
    query: '''
| where event in ('queue.measured', 'setting.refused')
| summarize value = count()
'''
  }
  {
    id: 'nothing-sent'
    severity: 1
    title: 'Nothing is sent although mail waits'
    text: 'Mail has been due for half an hour, and Graph has accepted none in the last half hour.'
    window: 'PT1H'
    operator: 'GreaterThan'
    threshold: 0
    query: '''
| where event in ('mail.sent', 'queue.measured', 'backlog.measured')
| where queue !endswith '-poison'
| extend due = event != 'mail.sent' and toreal(said.oldest) > 1800
| summarize sent = countif(event == 'mail.sent' and TimeGenerated > ago(30m)), value = countif(due)
| where sent == 0
| project value
'''
  }
  {
    id: 'producers-wait'
    severity: 2
    title: 'A producer\'s message waits'
    text: 'The oldest message in mail-outbox or mail-events has been there for more than ten minutes.'
    window: 'PT15M'
    operator: 'GreaterThan'
    threshold: 600
    query: '''
| where event == 'queue.measured' and queue in ('mail-outbox', 'mail-events')
| summarize value = max(toreal(said.oldest)) by queue
'''
  }
  {
    id: 'poison-stays'
    severity: 2
    title: 'Messages stay in a poison queue'
    text: 'What failed ten times is taken from there within seconds. What has stayed for a quarter of an hour cannot be put back either, and is deleted after seven days.'
    window: 'PT30M'
    operator: 'GreaterThan'
    threshold: 2
    query: '''
| where event == 'queue.measured' and queue endswith '-poison'
| summarize value = countif(toint(said.messages) > 0) by queue
'''
  }
  {
    id: 'mailbox-full'
    severity: 1
    title: 'A mailbox is full, or has sent all it may'
    text: 'Sent Items is full (ErrorQuotaExceeded), or the mailbox has mailed all recipients of its day. Its mail waits.'
    window: 'PT15M'
    operator: 'GreaterThan'
    threshold: 0
    query: '''
| where event in ('graph.quota', 'recipients.reached')
| summarize value = count() by event, code
'''
  }
  {
    id: 'permission'
    severity: 1
    title: 'Graph refuses Mailroom itself'
    text: '401 or 403: the identity may not send as the mailbox, or not yet. Mail waits for up to three days.'
    window: 'PT15M'
    operator: 'GreaterThan'
    threshold: 0
    query: '''
| where event == 'graph.permission'
| summarize value = count() by code
'''
  }
  {
    id: 'unreached'
    severity: 2
    title: 'Graph cannot be reached'
    text: 'No connection, or no token from the managed identity, in three pieces of five minutes of the last thirty.'
    window: 'PT30M'
    operator: 'GreaterThan'
    threshold: 2
    query: '''
| where event == 'graph.unreached'
| summarize by piece = bin(TimeGenerated, 5m)
| summarize value = count()
'''
  }
  {
    id: 'near-limit'
    severity: 3
    title: 'A mailbox or a caller is near its limit'
    text: 'A mailbox has mailed four fifths of the recipients of its day, or a caller, queue or route is over its rate.'
    window: 'PT15M'
    operator: 'GreaterThan'
    threshold: 0
    query: '''
| where event in ('recipients.near', 'caller.limited')
| summarize value = count() by event
'''
  }
  {
    id: 'degraded'
    severity: 3
    title: 'Mailroom works, but not as it should'
    text: 'A route or a template is broken, the vault, the tenant\'s signing keys or the suppression list are out of reach, the ledger could not be written, or a draft not deleted.'
    window: 'PT15M'
    operator: 'GreaterThan'
    threshold: 0
    query: '''
| where event in ('setting.unused', 'route.refused', 'template.failed', 'vault.unreached', 'caller.keys-unreached', 'mail.row-unwritten', 'mail.unchecked', 'mail.draft-left')
| summarize value = count() by event
'''
  }
]

resource mailTo 'Microsoft.Insights/actionGroups@2023-01-01' = if (!empty(email)) {
  name: 'ag-${name}'
  location: 'global'
  tags: tags
  properties: {
    enabled: true
    groupShortName: 'mailroom'
    emailReceivers: [
      {
        name: 'operators'
        emailAddress: email
        useCommonAlertSchema: true
      }
    ]
  }
}

resource rule 'Microsoft.Insights/scheduledQueryRules@2026-03-01' = [
  for one in rules: {
    name: '${one.id}-${name}'
    location: location
    tags: tags
    kind: 'LogAlert'
    properties: {
      displayName: 'Mailroom: ${one.title}'
      description: one.text
      severity: one.severity
      enabled: true
      autoMitigate: true
      evaluationFrequency: one.severity < 2 ? 'PT5M' : 'PT15M' // the price of a rule is that of its questions
      windowSize: one.window
      scopes: [workspaceId]
      criteria: {
        allOf: [
          {
            query: '${said}${one.query}'
            metricMeasureColumn: 'value'
            timeAggregation: 'Maximum'
            operator: one.operator
            threshold: one.threshold
            failingPeriods: {
              minFailingPeriodsToAlert: 1
              numberOfEvaluationPeriods: 1
            }
          }
        ]
      }
      actions: {
        actionGroups: concat(actionGroupIds, empty(email) ? [] : [mailTo.id])
      }
      // A fresh workspace has no such tables yet.
      skipQueryValidation: true
    }
  }
]
