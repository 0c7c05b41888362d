/* The plugin `operations`: what happens after a customer has been answered. Owns the table of routes; the work is in
 * the files named in operations.h. Loop thread. */
#include "operations.h"

static const cvm_component components[] = {{.id = NOTIFICATION, .state_version = 1},
                                           {.id = FEEDBACK, .state_version = 1},
                                           {.id = ANALYTICS, .state_version = 1},
                                           {0}};

/* clang-format off */
static const cvm_route routes[] = {
    {NOTIFICATION, "handle", notify_handle},
    {NOTIFICATION, "notify", notify_any},
    {NOTIFICATION, "send_sms", notify_sms},
    {NOTIFICATION, "send_email", notify_email},
    {NOTIFICATION, "send_whatsapp", notify_whatsapp},
    {NOTIFICATION, "contact.reply", notify_contact},
    {NOTIFICATION, "enquiry_closed", notify_closed},
    {NOTIFICATION, "handoff.resolved", notify_resolved},
    {NOTIFICATION, "deliver.reply", deliver_answered},
    {NOTIFICATION, "again", deliver_again},
    {NOTIFICATION, "list_outbox", outbox_list},
    {NOTIFICATION, "query.reply", outbox_listed},
    {FEEDBACK, "handle", feedback_handle},
    {FEEDBACK, "request_rating", feedback_request},
    {FEEDBACK, "record_rating", feedback_record},
    {FEEDBACK, "rate_last", feedback_last},
    {FEEDBACK, "rate_enquiry.reply", feedback_recorded},
    {FEEDBACK, "sentiment_analysis", feedback_sentiment},
    {FEEDBACK, "sentiment_analysis.reply", feedback_read},
    {FEEDBACK, "enquiry_closed", feedback_closed},
    {ANALYTICS, "start", record_start},
    {ANALYTICS, "tidy", record_start},
    {ANALYTICS, "handle", kpi_handle},
    {ANALYTICS, "record_interaction", record_interaction},
    {ANALYTICS, "enquiry_closed", record_closed},
    {ANALYTICS, "enquiry.rated", record_rated},
    {ANALYTICS, "transaction.ended", record_transaction},
    {ANALYTICS, "handoff.created", record_handoff},
    {ANALYTICS, "handoff.claimed", record_handoff},
    {ANALYTICS, "handoff.resolved", record_handoff},
    {ANALYTICS, "arm", record_arm},
    {ANALYTICS, "sla_due", record_sla},
    {ANALYTICS, "compute_kpi", kpi_compute},
    {ANALYTICS, "compute_kpi.reply", kpi_computed},
    {ANALYTICS, "query.reply", kpi_rows},
    {ANALYTICS, "kpi", kpi_show},
    {ANALYTICS, "read_kpi", kpi_compute},
    {ANALYTICS, "read_kpi.reply", kpi_shown},
    {ANALYTICS, "evaluate.reply", kpi_measured},
    {ANALYTICS, "dashboard", kpi_dashboard},
    {ANALYTICS, "detect_pattern", pattern_detect},
    {ANALYTICS, "refresh", kpi_refresh},
    {0},
};
/* clang-format on */

CVM_PLUGIN(.name = "operations", .version = "1.0.0", .components = components, .routes = routes);
