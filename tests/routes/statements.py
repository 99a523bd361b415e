"""What mails state, and the field that proves it: a mail says so only of an event in which the proof holds.

`proof` is JMESPath over an event as filters see it: `type`, `data` and the rest. Where `said` has a group, what it
matches must be one of the values that the proof finds; otherwise the proof must hold. A proof that ends with a type of
event is one: the sender says it by sending that type.
"""

from dataclasses import dataclass
from typing import Final

__all__ = ["ARTEFACTS", "STATEMENTS", "Statement"]


@dataclass(frozen=True, slots=True)
class Statement:
    """kinds: a pattern of route and type of event. said: a regular expression over the lines of the mail, without what
    people wrote in the event.
    """

    kinds: str
    said: str
    proof: str


STRIPE: Final = "data.data.object"
NAMES: Final = (
    "data.[sender.login, pusher.name, comment.user.login, review.user.login, release.author.login, "
    "deployment.creator.login, alert.dismissed_by.login, alert.resolved_by.login, workflow_run.actor.login, "
    "workflow_run.triggering_actor.login, requester.login, requestor.login, approver.login, "
    "repository_advisory.author.login]"
)
RUN_PARTS: Final = "data.resource.[job, stage, run][?@]|[0]"
ADVISORY: Final = "[data.security_advisory, data.repository_advisory][]"
UNPATCHED: Final = (
    "contains(keys(@), 'first_patched_version') && first_patched_version == null"
    " || contains(keys(@), 'patched_versions') && patched_versions == null"
)
FIRING: Final = "length(not_null(data.alerts[?status == 'firing'], `[]`))"
HEALTH: Final = "data.alertContext.properties"

STATEMENTS: Final = (
    # Stripe: money that has come, has not come, or need not come.
    Statement("stripe/payment_intent.*failed", "could not pay|Payment.* failed", "ends_with(type, 'failed')"),
    Statement("stripe/charge.failed", "could not pay|Payment.* failed", "type == 'charge.failed'"),
    Statement("stripe/payment_intent.succeeded", " paid| received", "type == 'payment_intent.succeeded'"),
    Statement("stripe/payment_intent.*", "bank holds|[Aa]uthorised$", f"{STRIPE}.amount_capturable > `0`"),
    Statement("stripe/payment_intent.canceled", "will not be made", "type == 'payment_intent.canceled'"),
    Statement(
        "stripe/checkout.session.*",
        r"and paid\b|^Paid$|has arrived|Checkout paid",
        f"{STRIPE}.payment_status == 'paid' || type == 'checkout.session.async_payment_succeeded'",
    ),
    Statement("stripe/checkout.session.completed", "No payment|no payment", f"{STRIPE}.payment_status == 'no_payment_required'"),
    Statement("stripe/checkout.session.completed", "may still fail|pending", f"{STRIPE}.payment_status == 'unpaid'"),
    Statement("stripe/checkout.session.*", "failed|not paid", "type == 'checkout.session.async_payment_failed'"),
    Statement("stripe/checkout.session.*", r"\bordered\b", f"{STRIPE}.mode == 'payment'"),
    Statement("stripe/checkout.session.*", r"\bsubscribed\b", f"{STRIPE}.mode == 'subscription'"),
    Statement("stripe/checkout.session.*", "left payment details|^Payment details", f"{STRIPE}.mode == 'setup'"),
    Statement("stripe/invoice.*", r"paid [A-Z]{3} ", f"{STRIPE}.amount_paid > `0` && {STRIPE}.paid_out_of_band != `true`"),
    Statement("stripe/invoice.*", r"(?<!be )\bpaid:|is paid\.|^Paid$", "contains(['invoice.paid', 'invoice.payment_succeeded'], type)"),
    Statement("stripe/invoice.*", "[Nn]othing (was )?due", f"{STRIPE}.amount_paid == `0`"),
    Statement("stripe/invoice.*", "marked as paid", f"{STRIPE}.paid_out_of_band == `true`"),
    Statement("stripe/invoice.*", "could not (be paid|pay)", "type == 'invoice.payment_failed'"),
    Statement("stripe/invoice.*", "tries again", f"{STRIPE}.next_payment_attempt"),
    Statement(
        "stripe/invoice.*",
        "does not try again",
        f"contains(keys({STRIPE}), 'next_payment_attempt') && {STRIPE}.next_payment_attempt == null",
    ),
    Statement("stripe/invoice.*", r"in attempt (\d+)", f"{STRIPE}.[attempt_count]"),
    Statement("stripe/invoice.upcoming", "will be charged", f"{STRIPE}.amount_due && {STRIPE}.collection_method != 'send_invoice'"),
    Statement(
        "stripe/charge.refunded",
        "gets back [A-Z]{3}",
        f"type({STRIPE}.amount_refunded) == 'number' && type(data.data.previous_attributes.amount_refunded) == 'number'",
    ),
    Statement("stripe/charge.refunded", "in part", f"{STRIPE}.refunded == `false`"),
    Statement("stripe/charge.dispute.*", "Inquiry|asks about", f"starts_with({STRIPE}.status, 'warning')"),
    Statement("stripe/charge.dispute.*", "disputes a payment", f"!starts_with({STRIPE}.status, 'warning')"),
    Statement("stripe/charge.dispute.*", r"\bwon\b|money is yours", f"{STRIPE}.status == 'won'"),
    Statement("stripe/charge.dispute.*", r"\blost$|money stays", f"{STRIPE}.status == 'lost'"),
    Statement(
        "stripe/charge.dispute.*", "needed|Send your evidence", f"ends_with({STRIPE}.status, 'needs_response')"
    ),
    Statement("stripe/charge.dispute.*", "takes no answer", f"{STRIPE}.evidence_details.due_by == `0`"),
    Statement(
        "stripe/*refund*", "Refund.* failed|has not reached", f"{STRIPE}.status == 'failed' || ends_with(type, 'failed')"
    ),
    Statement("stripe/*refund*", "^Sent$|Refund.* sent$", f"{STRIPE}.status == 'succeeded'"),
    Statement("stripe/*refund*", "waits for the customer", f"{STRIPE}.status == 'requires_action'"),
    Statement("stripe/payout.*", "[Pp]aid to your bank", f"{STRIPE}.type == 'bank_account' && type == 'payout.paid'"),
    Statement("stripe/payout.*", "taken from your bank", f"{STRIPE}.amount < `0`"),
    Statement("stripe/payout.*", "An automatic", f"{STRIPE}.automatic == `true`"),
    Statement("stripe/payout.*", "failed|has not arrived", "type == 'payout.failed'"),
    Statement("stripe/customer.subscription.*", r"\bended\b(?!:)", "type == 'customer.subscription.deleted'"),
    Statement("stripe/customer.subscription.*", r"\bbegan\b", f"contains(['active', 'trialing'], {STRIPE}.status)"),
    Statement("stripe/customer.subscription.*", "first payment", f"{STRIPE}.status == 'incomplete'"),
    Statement("stripe/customer.subscription.*", "was cancelled", f"{STRIPE}.cancellation_details.reason == 'cancellation_requested'"),
    Statement("stripe/customer.subscription.*", "was not paid", f"{STRIPE}.cancellation_details.reason == 'payment_failed'"),
    Statement("stripe/*", r"\[Stripe test\]", "data.livemode == `false`"),
    Statement("stripe/*", r"stripe\.com/\S*payments/(\w+)", f"{STRIPE}.[payment_intent, payment_intent.id, charge, charge.id, id]"),
    Statement("stripe/*", r"stripe\.com/\S*customers/(\w+)", f"{STRIPE}.[customer, customer.id]"),
    Statement("stripe/*", r"stripe\.com/\S*invoices/(\w+)", f"{STRIPE}.[id]"),
    Statement(
        "stripe/*",
        r"stripe\.com/\S*subscriptions/(\w+)",
        f"{STRIPE}.[id, subscription, subscription.id, parent.subscription_details.subscription]",
    ),
    Statement("stripe/*", r"stripe\.com/\S*payouts/(\w+)", f"{STRIPE}.[id]"),
    # GitHub: who did what to which, and how it ended.
    Statement("github/pull_request.*", r"\b[Mm]erged\b", "data.pull_request.merged == `true` || data.pull_request.merged_at"),
    Statement(
        "github/pull_request.*",
        "without merging",
        "data.pull_request.merged == `false` || contains(keys(data.pull_request), 'merged_at')",
    ),
    Statement("github/pull_request.*", "Draft", "data.pull_request.draft == `true`"),
    Statement("github/pull_request.*", r"[Oo]pened\b(?!:)", "contains(['opened', 'reopened'], data.action)"),
    Statement("github/pull_request.*", r"asks (\S+) for a review", "data.[requested_reviewer.login, requested_team.name, 'somebody']"),
    Statement("github/pull_request.*", r"merged it into (\S+)\.", "data.pull_request.[base.ref]"),
    Statement("github/pull_request_review.*", "[Aa]pproved", "contains(['approved', 'APPROVED'], data.review.state)"),
    Statement("github/pull_request_review.*", "[Cc]hanges requested|asks for changes", "data.review.state == 'changes_requested'"),
    Statement("github/pull_request_review.*", "commented", "data.review.state == 'commented'"),
    Statement("github/push", "[Ff]orce-push|rewritten", "data.forced == `true`"),
    Statement("github/push", r"\bcreated\b", "data.created == `true` || ends_with(data.before, '00000000')"),
    Statement("github/push", "moved|without new commits", "data.commits == `[]`"),
    Statement("github/push", r"(\d+) commits?\b", "[length(data.commits[?@ != `null`])]"),
    Statement("github/workflow_run.*", r"\bpassed\b", "data.workflow_run.conclusion == 'success'"),
    Statement("github/workflow_run.*", r"\bfailed\b", "data.workflow_run.conclusion == 'failure'"),
    Statement("github/workflow_run.*", "timed out", "data.workflow_run.conclusion == 'timed_out'"),
    Statement("github/workflow_run.*", "approves it|waits for", "data.workflow_run.conclusion == 'action_required'"),
    Statement("github/workflow_run.*", r"attempt (\d+)", "data.workflow_run.[run_attempt]"),
    Statement("github/deployment_status.*", "succeeded", "data.deployment_status.state == 'success'"),
    Statement("github/deployment_status.*", "failed", "contains(['failure', 'error'], data.deployment_status.state)"),
    Statement("github/deployment_status.*", "^Took:", "contains(['success', 'failure', 'error'], data.deployment_status.state)"),
    Statement("github/deployment.*", "asks for|requested", "starts_with(type, 'deployment.')"),
    Statement("github/deployment_review.*", "Approval needed|waits for", "data.action == 'requested'"),
    Statement("github/deployment_review.*", r"\bapproved\b", "data.action == 'approved'"),
    Statement("github/deployment_review.*", r"\brejected\b", "data.action == 'rejected'"),
    Statement("github/code_scanning_alert.*", "no longer in the code|Fixed", "data.action == 'fixed'"),
    Statement("github/code_scanning_alert.*", "closed it|Closed", "data.action == 'closed_by_user'"),
    Statement("github/code_scanning_alert.*", "found it", "contains(data.action, 'created') || contains(data.action, 're')"),
    Statement("github/dependabot_alert.*", "no longer uses|^Fixed", "data.action == 'fixed'"),
    Statement("github/dependabot_alert.*", r"dismissed the alert", "contains(data.action, 'dismissed')"),
    Statement(
        "github/dependabot_alert.*",
        "no version yet",
        "contains(keys(data.alert.security_vulnerability), 'first_patched_version')"
        " && data.alert.security_vulnerability.first_patched_version == null",
    ),
    Statement(
        "github/dependabot_alert.*", r"Upgrade to (\S+) or", "data.alert.security_vulnerability.first_patched_version.[identifier]"
    ),
    Statement("github/secret_scanning_alert.*", "still valid", "data.alert.validity == 'active'"),
    Statement("github/secret_scanning_alert.*", "resolved the alert", "data.action == 'resolved'"),
    Statement("github/secret_scanning_alert.*", "Secret found", "data.action == 'created'"),
    Statement("github/secret_scanning_alert.*", r"\(public\)", "data.repository.private == `false`"),
    Statement("github/*_advisory.*", "not mended", f"{ADVISORY}.vulnerabilities[][] | [?type(@) == 'object'] | [?{UNPATCHED}]"),
    Statement("github/*_advisory.*", "in private", "data.action == 'reported'"),
    Statement("github/release.*", "published", "data.action == 'published'"),
    Statement("github/release.*", "[Pp]re-release", "data.release.prerelease == `true`"),
    Statement("github/issues.*", r"\bclosed\b", "data.action == 'closed'"),
    Statement("github/issues.*", "as not planned", "data.issue.state_reason == 'not_planned'"),
    Statement("github/issues.*", r"assigned to (\S+):", "data.[assignee.login]"),
    Statement("github/issue_comment.*", "on this pull request", "data.issue.pull_request"),
    Statement(
        "github/*",
        r"^(?!Somebody |It |Rule )([\w\[\]-]+) (?:approved|asks|assigned|closed|commented|created|deleted|dismissed|has rewritten"
        r"|merged|opened|published|pushed|reopened|resolved|says|started|wants|wrote) ",
        NAMES,
    ),
    Statement("github/*", r"\(#(\d+)\)$", "data.[number, issue.number, pull_request.number, discussion.number]"),
    Statement("github/*", r"github\.com/\S+/commit/(\w+)", "data.[commit_oid, deployment.sha, workflow_run.head_sha, after,"
              " head_commit.id, head_commit.url, commits[].id, commits[].url][]"),
    Statement("github/*", r"github\.com/\S+/(?:pull|issues)/(\d+)>", "data.[number, issue.[number, html_url], pull_request.[number, html_url],"
              " workflow_run.pull_requests[].number][]"),
    # Azure DevOps: of minimal resources nothing but the message.
    Statement("azure-devops/build.complete", r"\bsucceeded\b", "contains(['succeeded', 'partiallySucceeded'], not_null(data.resource.result, data.resource.status))"),
    Statement("azure-devops/build.complete", r"\bfailed\b", "not_null(data.resource.result, data.resource.status) == 'failed'"),
    Statement("azure-devops/build.complete", "by a push", "data.resource.reason == 'individualCI'"),
    Statement("azure-devops/build.complete", r"buildId=(\d+)", "data.resource.[id]"),
    Statement("azure-devops/git.pullrequest.*", "PR completed|^Completed", "data.resource.status == 'completed'"),
    Statement("azure-devops/git.pullrequest.*", "PR abandoned|^Abandoned", "data.resource.status == 'abandoned'"),
    Statement("azure-devops/git.pullrequest.*", "[Cc]onflicts|cannot be merged", "data.resource.mergeStatus == 'conflicts'"),
    Statement("azure-devops/git.pullrequest.*", "Draft", "data.resource.isDraft == `true`"),
    Statement("azure-devops/*", r"\(!(\d+)\)$|pullrequest/(\d+)>", "data.resource.[pullRequestId, pullRequest.pullRequestId, _links.web.href, pullRequest._links.web.href]"),
    Statement("azure-devops/git.push", r"\bcreated\b", "ends_with(data.resource.refUpdates[0].oldObjectId, '0000000000')"),
    Statement("azure-devops/git.push", r"(\d+) commits?\b", "[length(data.resource.commits[?@ != `null`])]"),
    Statement("azure-devops/ms.vss-code.*", r"Comment of .* deleted|was deleted", "data.resource.comment.isDeleted == `true`"),
    Statement("azure-devops/ms.vss-code.*", r"\banswered\b", "data.resource.comment.parentCommentId > `0`"),
    Statement("azure-devops/ms.vss-pipelines.*", r"\bfailed\b", f"({RUN_PARTS}).result == 'failed'"),
    Statement("azure-devops/ms.vss-pipelines.*", r"\bsucceeded\b", f"({RUN_PARTS}).result == 'succeeded'"),
    Statement("azure-devops/ms.vss-release.*", r"\bsucceeded\b", "data.resource.[environment.status, deployment.deploymentStatus] | contains(@, 'succeeded')"),
    Statement("azure-devops/ms.vss-release.*", r"rejected or failed", "data.resource.[environment.status, deployment.deploymentStatus] | contains(@, 'rejected')"),
    Statement("azure-devops/ms.vss-*approval*", "Approval needed", "contains(type, 'approval-pending')"),
    Statement("azure-devops/workitem.*", r"_workitems/edit/(\d+)", "[data.resource.revision.id, data.resource.workItemId, data.resource.id, data.resource._links.html.href]"),
    Statement("azure-devops/workitem.*", "is now", 'data.resource.fields."System.State".newValue'),
    Statement("azure-devops/workitem.*", "ssigned to nobody", 'data.resource.fields."System.AssignedTo".oldValue'),
    # Groups of alerts.
    Statement("alertmanager/*", r"^Subject: \[Resolved|^Resolved · |^Over:|^Began:", "ends_with(type, '.resolved')"),
    Statement("grafana/*", r"^Subject: \[Resolved|^Resolved · |^Over:|^Began:", "ends_with(type, '.resolved')"),
    Statement("*/*.firing", r"(\d+)(?: alerts?)? firing|\[Firing: (\d+)", f"[{FIRING}]"),
    Statement("*/*.firing", r"(\d+)(?: alerts?)? resolved", "[length(data.alerts[?status == 'resolved'])]"),
    Statement("*/*.firing", "Still firing", "data.notification_reason == 'repeat interval elapsed'"),
    Statement("*/*.firing", r"^\[?Firing", "ends_with(type, '.firing')"),
    # Azure Monitor and Event Grid.
    Statement("*/azure-monitor.*", r"^(?:Subject: \[)?Fired\b(?!:)", "data.data.essentials.monitorCondition == 'Fired'"),
    Statement(
        "*/azure-monitor.*",
        r"^(?:Subject: \[)?Resolved\b(?!:)",
        "data.data.essentials.monitorCondition == 'Resolved' || data.data.alertContext.status == 'Resolved'"
        f" || data.{HEALTH}.currentHealthStatus == 'Available' || data.{HEALTH}.stage == 'Resolved'",
    ),
    Statement("*/azure-monitor.*", r"^(?:Resolved|Lasted):", "data.data.essentials.resolvedDateTime"),
    Statement("*/azure-monitor.*", r"Critical \(Sev0\)", "data.data.essentials.severity == 'Sev0'"),
    Statement(
        "*/azure-monitor.*", "[(]alert |results above", "data.data.alertContext.[condition.allOf[].operator, Operator][] | [?@]"
    ),
    Statement("*/azure-monitor.cost*", r"^Spent: (\S+)", "data.data.alertContext.AlertData.[SpentAmount]"),
    Statement("*/azure-monitor.cost*", r"Budget (?!nachts)(\S+)$", "data.data.alertContext.AlertData.[BudgetName]"),
    Statement("eventgrid/Microsoft.KeyVault.*", "has expired|Expired", "ends_with(type, 'Expired')"),
    Statement("eventgrid/Microsoft.KeyVault.*", "expires", "ends_with(type, 'NearExpiry')"),
    Statement("eventgrid/Microsoft.KeyVault.*", "expires in", "data.[EXP, exp][?@]"),
    Statement("eventgrid/Microsoft.Resources.*", r"\[Failed\]", "ends_with(type, 'Failure')"),
    Statement("eventgrid/Microsoft.Resources.*", r"\[Succeeded\]", "ends_with(type, 'Success')"),
    Statement("eventgrid/Microsoft.Storage.*", "Blob deleted", "ends_with(type, 'BlobDeleted')"),
    # Uptime Kuma.
    Statement("uptime-kuma/uptime-kuma.*", r"\[Down\]|is down", "data.heartbeat.status == `0`"),
    Statement("uptime-kuma/uptime-kuma.*", r"\[Up\]|is up", "data.heartbeat.status == `1`"),
    Statement("uptime-kuma/uptime-kuma.*", "Expires soon", "contains(data.msg, ' will expire in ')"),
    Statement("uptime-kuma/uptime-kuma.*", "A test: ", "ends_with(data.msg, ' Testing')"),
    Statement("uptime-kuma/uptime-kuma.*", r"Answered in: (\S+) ms", "data.heartbeat.[ping]"),
)

# What no mail shows, whatever the event left out: words of programs, and what a value that is missing leaves behind.
ARTEFACTS: Final = (
    r"\bNone\b", r"\bnull\b", r"\bundefined\b", r"\bnan\b", r"\[no value\]", r"\{\}", r"\[\]", r"\{'", r"\['", r"\(\s*\)",
    r"#(?![\w/-])", r" [.,;:](?=\s|$)", r"\b(?:by|of|in|to|from|with|and|than)[.,;)]", r"\b(?:by|of|in|to|from|with|and|than)$",
    r": ?[.,]", r"^\s*[·,:.→]", r"[→·,–]\s*$", r"\?(?=[ ,:]|$)", r"^[^ ]+: *$", r"__\w+__", r"PanelId|datasource_uid",
)  # fmt: skip
