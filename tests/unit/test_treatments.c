/* What of the treatments needs no host: reading words, records, ids, local days, the contact policy. */
#include "../../plugins/cvm/common/contact.h"
#include "../../plugins/cvm/decision/moment.h"
#include "../../plugins/cvm/treatments/record.h"

#include <check.h>

/* ---- words ---- */

static json_t *read_words(const char *text)
{
    json_t *members = NULL;
    struct wording_error e = {0};
    ck_assert_msg(wording_read(text, &members, &e) == CVM_OK, "\"%s\": %s", text, e.text);
    return members;
}

static void expect_number(const char *text, const char *name, double value)
{
    json_t *members = read_words(text);
    const json_t *v = json_object_get(json_object_get(members, "constraints"), name);
    ck_assert_msg(json_is_number(v), "\"%s\": no %s", text, name);
    ck_assert_msg(json_number_value(v) == value, "\"%s\": %s is %g", text, name, json_number_value(v));
    json_decref(members);
}

static void expect_none(const char *text, const char *name)
{
    json_t *members = read_words(text);
    ck_assert_msg(!json_object_get(json_object_get(members, "constraints"), name), "\"%s\" has %s", text, name);
    json_decref(members);
}

static void expect_text(const char *text, const char *name, const char *value)
{
    json_t *members = read_words(text);
    ck_assert_msg(!strcmp(cvm_json_str(members, name, "-"), value), "\"%s\": %s is \"%s\"", text, name,
                  cvm_json_str(members, name, "-"));
    json_decref(members);
}

static void expect_error(const char *text, const char *field)
{
    json_t *members = NULL;
    struct wording_error e = {0};
    ck_assert_msg(wording_read(text, &members, &e) == CVM_EINVAL, "\"%s\" is taken", text);
    ck_assert_str_eq(e.field, field);
    ck_assert_uint_gt(strlen(e.text), 10);
}

START_TEST(limits_are_read)
{
    static const char *const ten[] = {
        "Gift limit 10",         "Gift limit of 10",      "Gift new limit 10",
        "Gift daily limit 10",   "Gift max 10",           "Gift maximum 10",
        "Gift up to 10",         "Gift 10 per day",       "Gift 10/day",
        "Gift 10 a day",         "Gift limit 10 per day", "Gift max 10 a day",
        "Gift up to 10 daily",   "Gift LIMIT 10",         "Gift with a daily limit of 10.",
        "Gift, limit: 10",       "limit 5, limit 10",     "Gift limit 10, up to be decided",
        "Gift maximum of 10/day"};
    for (size_t i = 0; i < sizeof ten / sizeof *ten; i++)
        expect_number(ten[i], "max_per_day", 10);
    expect_number("Gift limit 1,000", "max_per_day", 1000);
    expect_number("Gift up to 1,234,567 a day", "max_per_day", 1234567);
    expect_number("Gift limit 0", "max_per_day", 0);
    expect_none("Offer of 10 days", "max_per_day");
    expect_none("Offer 5G to unlimited customers", "max_per_day");
    expect_none("Limitless 10", "max_per_day");
    expect_error("Gift limit -5", "constraints.max_per_day");
    expect_error("Gift limit 10.5", "constraints.max_per_day");
    expect_error("Gift limit 99999999999999999999999", "constraints.max_per_day");
}
END_TEST

START_TEST(priorities_are_read)
{
    expect_number("Gift priority 2", "priority", 2);
    expect_number("Gift priority of 3", "priority", 3);
    expect_number("Gift priority: 4", "priority", 4);
    expect_number("Gift priority:4", "priority", 4);
    expect_number("Gift high priority", "priority", 1);
    expect_number("Gift with Medium Priority", "priority", 5);
    expect_number("Gift low priority", "priority", 9);
    expect_number("Gift low priority, then priority 3", "priority", 3);
    expect_none("Gift to high-value customers", "priority");
    expect_none("Gift of high value", "priority");
    expect_error("Gift priority 0", "constraints.priority");
    expect_error("Gift priority 10", "constraints.priority");
}
END_TEST

START_TEST(costs_are_read)
{
    static const char *const five[] = {"Gift \xc2\xa3"
                                       "5",
                                       "Gift cost 5",
                                       "Gift cost of \xc2\xa3"
                                       "5",
                                       "Gift costing 5",
                                       "Gift 5 pounds",
                                       "Gift \xc2\xa3"
                                       "5 per contact",
                                       "Gift costing \xc2\xa3"
                                       "5 each",
                                       "Gift 5 pounds each",
                                       "Gift at a cost of 5 pounds per contact",
                                       "Gift COST: 5"};
    for (size_t i = 0; i < sizeof five / sizeof *five; i++)
        expect_number(five[i], "cost_per_contact_pounds", 5);
    expect_number("Gift \xc2\xa3"
                  "1,250.50",
                  "cost_per_contact_pounds", 1250.5);
    expect_number("SMS cost 0.05", "cost_per_contact_pounds", 0.05);
    expect_none("Gift for 5 customers", "cost_per_contact_pounds");
    expect_none("Gift at cost", "cost_per_contact_pounds");
    expect_error("Gift cost -5", "constraints.cost_per_contact_pounds");
}
END_TEST

START_TEST(states_and_channels_are_read)
{
    static const char *const channels[][2] = {
        {"Send an SMS", "sms"},      {"Send a text message", "sms"}, {"Send an email", "email"},
        {"Send an e-mail", "email"}, {"Call the customer", "call"},  {"By phone", "call"},
        {"Offer in the app", "app"}, {"Push an offer", "app"},       {"Write a letter", "post"},
        {"Send by post", "post"},    {"Email, then call", "email"},  {"Call, then SMS", "call"}};
    for (size_t i = 0; i < sizeof channels / sizeof *channels; i++)
        expect_text(channels[i][0], "channel", channels[i][1]);
    expect_text("Send personalized video message", "channel", "-");
    expect_text("Gift for postpaid customers", "channel", "-");
    json_t *members = read_words("Gift, disabled, limit 5");
    ck_assert(json_is_false(json_object_get(members, "enabled")));
    json_decref(members);
    members = read_words("Gift enabled");
    ck_assert(json_is_true(json_object_get(members, "enabled")));
    json_decref(members);
    members = read_words("Gift for 5G-enabled phones");
    ck_assert_ptr_null(json_object_get(members, "enabled"));
    json_decref(members);
}
END_TEST

START_TEST(names_are_the_words_before)
{
    expect_text("Send a gift basket with limit 10", "display_name", "Send a gift basket");
    expect_text("Send a gift basket with a limit of 10", "display_name", "Send a gift basket");
    expect_text("Send a gift basket, and with priority 1", "display_name", "Send a gift basket");
    expect_text("Gift - \xc2\xa3"
                "5 each",
                "display_name", "Gift");
    expect_text("  Gift\n basket   for all, disabled", "display_name", "Gift basket for all");
    expect_text("Caf\xc3\xa9 voucher up to 5 a day", "display_name", "Caf\xc3\xa9 voucher");
    expect_text("Send an SMS with limit 5", "display_name", "Send an SMS");
    expect_text("limit 10", "display_name", "limit 10");
    expect_text("Give every customer that called us more than three times something nice", "display_name",
                "Give every customer that called us more than three times");
    expect_text("  Gift with limit 3\n", "description", "Gift with limit 3");
    expect_error("", "input");
    expect_error(" \n", "input");
}
END_TEST

START_TEST(examples_of_the_sources)
{
    static const char first[] = "Send personalized video message to customer with limit 10 and priority 2";
    static const char second[] = "Send a personalized gift basket to high-value customers with limit 10 and priority 1";
    char slug[WORDING_SLUG_SIZE];
    expect_text(first, "display_name", "Send personalized video message to customer");
    expect_text(first, "description", first);
    expect_number(first, "max_per_day", 10);
    expect_number(first, "priority", 2);
    expect_none(first, "cost_per_contact_pounds");
    expect_number(second, "max_per_day", 10);
    expect_number(second, "priority", 1);
    expect_number("Updated description with new limit 20", "max_per_day", 20);
    wording_slug("Send personalized video message to customer", slug);
    ck_assert_str_eq(slug, "send_personalized_vide");
    wording_slug("VIP Gift Basket", slug);
    ck_assert_str_eq(slug, "vip_gift_bask");
    wording_slug("Cell Tower Upgrade", slug);
    ck_assert_str_eq(slug, "cell_tower_upgr");
    wording_slug("The gift for an \xc3\xa9", slug);
    ck_assert_str_eq(slug, "gift");
    wording_slug("\xc3\xa9\xc3\xa8 - to the", slug);
    ck_assert_str_eq(slug, "treatment");
    wording_slug("Incomprehensibilities internationalization of it", slug);
    ck_assert_uint_le(strlen(slug), 40);
    ck_assert_int_ne(slug[strlen(slug) - 1], '_');
}
END_TEST

/* ---- records ---- */

static json_t *json(const char *text)
{
    json_t *v = json_loads(text, 0, NULL);
    ck_assert_msg(v != NULL, "%s", text);
    return v;
}

static void expect_fault(const char *text, const char *field)
{
    json_t *members = json(text), *record = NULL;
    record_error e = {0};
    ck_assert_msg(record_new(members, &record, &e) == CVM_EINVAL, "%s is taken", text);
    ck_assert_msg(!strcmp(e.field, field), "%s: %s, not %s", text, e.field, field);
    json_decref(members);
}

START_TEST(records_have_defaults)
{
    json_t *members = json("{\"display_name\": \"VIP\", \"constraints\": {\"max_per_day\": 5}}"), *record = NULL,
           *more = NULL;
    record_error e = {0};
    ck_assert_int_eq(record_new(members, &record, &e), CVM_OK);
    json_t *c = json_object_get(record, "constraints");
    ck_assert_str_eq(cvm_json_str(record, "description", ""), "VIP");
    ck_assert(json_is_true(json_object_get(record, "enabled")));
    ck_assert_str_eq(cvm_json_str(record, "channel", ""), "none");
    ck_assert_int_eq(cvm_json_int(c, "max_per_day", 0), 5);
    ck_assert_int_eq(cvm_json_int(c, "priority", 0), 5);
    ck_assert_double_eq(json_number_value(json_object_get(c, "cost_per_contact_pounds")), 0);
    json_decref(members);

    members = json("{\"constraints\": {\"priority\": 3, \"max_per_day\": null}, \"enabled\": false}");
    ck_assert_int_eq(record_merge(record, members, &more, &e), CVM_OK);
    c = json_object_get(more, "constraints");
    ck_assert_int_eq(cvm_json_int(c, "priority", 0), 3);
    ck_assert_int_eq(cvm_json_int(c, "max_per_day", 0), 100);
    ck_assert_str_eq(cvm_json_str(more, "display_name", ""), "VIP");
    ck_assert(json_is_false(json_object_get(more, "enabled")));
    ck_assert_int_eq(cvm_json_int(json_object_get(record, "constraints"), "max_per_day", 0), 5); /* the old one stays */
    json_decref(members);
    json_decref(record);
    json_decref(more);
}
END_TEST

START_TEST(wrong_members_are_named)
{
    expect_fault("{\"display_name\": \"x\"}", "description");
    expect_fault("{\"description\": \"x\"}", "display_name");
    expect_fault("{\"display_name\": null, \"description\": \"x\"}", "display_name");
    expect_fault("{\"display_name\": \"  \", \"description\": \"x\"}", "display_name");
    expect_fault("{\"display_name\": 5, \"description\": \"x\"}", "display_name");
    expect_fault("{\"display_name\": \"x\", \"description\": 5}", "description");
    expect_fault("{\"display_name\": \"x\", \"description\": \"x\", \"enabled\": \"yes\"}", "enabled");
    expect_fault("{\"display_name\": \"x\", \"description\": \"x\", \"color\": 1}", "color");
    expect_fault("{\"display_name\": \"x\", \"description\": \"x\", \"channel\": \"fax\"}", "channel");
    expect_fault("{\"display_name\": \"x\", \"description\": \"x\", \"applies_to\": \"churn_risk\"}", "applies_to");
    expect_fault("{\"display_name\": \"x\", \"constraints\": 5}", "constraints");
    expect_fault("{\"display_name\": \"x\", \"constraints\": {\"max_per_day\": -1}}", "constraints.max_per_day");
    expect_fault("{\"display_name\": \"x\", \"constraints\": {\"max_per_day\": 1.5}}", "constraints.max_per_day");
    expect_fault("{\"display_name\": \"x\", \"constraints\": {\"cost_per_contact_pounds\": -1}}",
                 "constraints.cost_per_contact_pounds");
    expect_fault("{\"display_name\": \"x\", \"constraints\": {\"cost_per_contact_pounds\": 0.005}}",
                 "constraints.cost_per_contact_pounds");
    expect_fault("{\"display_name\": \"x\", \"constraints\": {\"priority\": 10}}", "constraints.priority");
    expect_fault("{\"display_name\": \"x\", \"constraints\": {\"limit\": 1}}", "constraints.limit");
    expect_fault(
        "{\"display_name\": \"x\", \"description\": \"x\", \"eligibility\": [{\"fact\": \"age\", \"op\": \"~\"}]}",
        "eligibility.op");
    expect_fault("{\"display_name\": \"x\", \"description\": \"x\", \"value\": {\"kind\": \"luck\"}}", "value.kind");
    ck_assert(record_is_id("custom_a_00ff00ff") && !record_is_id("") && !record_is_id("a/b") && !record_is_id("a b"));
}
END_TEST

/* ---- local days ---- */

static int64_t at(const char *text)
{
    int64_t ms;
    ck_assert(moment_parse(text, &ms));
    return ms;
}

static void expect_day(const char *zone, const char *moment, const char *day, int minute)
{
    struct zone z;
    char is[ZONE_DAY_SIZE];
    ck_assert_int_eq(zone_find(zone, &z), CVM_OK);
    ck_assert_str_eq(zone_day(&z, at(moment), is), day);
    ck_assert_int_eq(zone_minute(&z, at(moment)), minute);
}

START_TEST(days_end_at_local_midnight)
{
    struct zone z;
    expect_day("Europe/London", "2026-01-15T23:59:00Z", "2026-01-15", 1439);
    expect_day("Europe/London", "2026-07-15T22:59:00Z", "2026-07-15", 1439);
    expect_day("Europe/London", "2026-07-15T23:00:00Z", "2026-07-16", 0);
    expect_day("Europe/London", "2026-03-29T00:59:00Z", "2026-03-29", 59); /* the clocks go forward at one */
    expect_day("Europe/London", "2026-03-29T01:00:00Z", "2026-03-29", 120);
    expect_day("Europe/London", "2026-10-25T00:59:00Z", "2026-10-25", 119); /* and back at two */
    expect_day("Europe/London", "2026-10-25T01:00:00Z", "2026-10-25", 60);
    expect_day("Europe/Berlin", "2026-12-31T23:00:00Z", "2027-01-01", 0);
    expect_day("America/New_York", "2026-03-08T06:59:00Z", "2026-03-08", 119);
    expect_day("America/New_York", "2026-03-08T07:00:00Z", "2026-03-08", 180);
    expect_day("America/New_York", "2026-11-01T05:59:00Z", "2026-11-01", 119);
    expect_day("America/New_York", "2026-11-01T06:00:00Z", "2026-11-01", 60);
    expect_day("Asia/Kolkata", "2026-05-01T18:30:00Z", "2026-05-02", 0);
    expect_day("+05:45", "2028-02-28T18:15:00Z", "2028-02-29", 0);
    expect_day("-03:30", "2026-05-01T03:29:00Z", "2026-04-30", 1439);
    ck_assert_int_eq(zone_find("Europe/Nowhere", &z), CVM_ENOENT);
    ck_assert_int_eq(zone_find("+5:45", &z), CVM_ENOENT);
    ck_assert_int_eq(zone_find("Europe/London", &z), CVM_OK);
    ck_assert_int_eq(zone_next(&z, at("2026-07-15T20:30:00Z"), 480), at("2026-07-16T07:00:00Z"));
    ck_assert_int_eq(zone_next(&z, at("2026-01-15T02:00:00Z"), 480), at("2026-01-15T08:00:00Z"));
    ck_assert_int_eq(zone_next(&z, at("2026-03-28T22:00:00Z"), 480), at("2026-03-29T07:00:00Z"));
    ck_assert_int_eq(zone_next(&z, at("2026-01-15T08:00:00Z"), 480), at("2026-01-16T08:00:00Z"));
    ck_assert_int_eq(zone_clock("08:30"), 510);
    ck_assert_int_eq(zone_clock("24:01"), -1);
}
END_TEST

/* ---- the contact policy ---- */

#define DAY INT64_C(86400000)

static void expect_verdict(const char *policy_text, const char *permissions_text, const struct contact *wanted,
                           const struct contact *past, size_t n, const char *rule, int64_t until)
{
    json_t *policy = json(policy_text), *permissions = permissions_text ? json(permissions_text) : NULL;
    struct contact_verdict v;
    struct zone z = {0};
    contact_check(policy, &z, permissions, wanted, past, n, &v);
    ck_assert_msg(v.allowed == !rule, "%s: %s", policy_text, v.allowed ? "allowed" : v.rule);
    if (rule) {
        ck_assert_str_eq(v.rule, rule);
        ck_assert_int_eq(v.until_ms, until);
        ck_assert_uint_gt(strlen(v.why), 10);
    }
    json_decref(policy);
    json_decref(permissions);
}

START_TEST(caps_count_in_rolling_windows)
{
    int64_t now = at("2026-05-20T12:00:00Z");
    struct contact sms = {now, "sms", "offer", false}, mail = {now, "email", "offer", false};
    struct contact past[] = {{now - 8 * DAY, "sms", "offer", false},
                             {now - 6 * DAY, "sms", "retention", false},
                             {now - 5 * DAY, "sms", "service", true},
                             {now - 4 * DAY, "network", "", false},
                             {now - DAY, "email", "offer", false}};
    size_t n = 5;
    static const char two[] = "{\"caps\": [{\"per\": \"customer\", \"max\": 2, \"days\": 7}]}";
    expect_verdict(two, NULL, &sms, past, n, "customer_cap", past[1].at_ms + 7 * DAY);
    expect_verdict("{\"caps\": [{\"per\": \"customer\", \"max\": 3, \"days\": 7}]}", NULL, &sms, past, n, NULL, 0);
    sms.at_ms = past[1].at_ms + 7 * DAY - 1; /* to the millisecond */
    expect_verdict(two, NULL, &sms, past, n, "customer_cap", sms.at_ms + 1);
    sms.at_ms++;
    expect_verdict(two, NULL, &sms, past, n, NULL, 0);
    sms.at_ms = now;
    static const char one_sms[] =
        "{\"caps\": [{\"rule\": \"x\", \"per\": \"channel\", \"channel\": \"sms\", \"max\": 1, \"days\": 7}]}";
    expect_verdict(one_sms, NULL, &sms, past, n, "x", past[1].at_ms + 7 * DAY);
    expect_verdict(one_sms, NULL, &mail, past, n, NULL, 0);
    expect_verdict("{\"caps\": [{\"per\": \"channel\", \"max\": 1, \"days\": 3}]}", NULL, &mail, past, n, "channel_cap",
                   now + 2 * DAY);
    expect_verdict("{\"caps\": [{\"per\": \"category\", \"max\": 2, \"days\": 30}]}", NULL, &sms, past, n,
                   "category_cap", past[0].at_ms + 30 * DAY);
    sms.category = "retention";
    expect_verdict("{\"caps\": [{\"per\": \"category\", \"max\": 2, \"days\": 30}]}", NULL, &sms, past, n, NULL, 0);
    sms.service = true; /* what serves the customer is not capped */
    expect_verdict(two, NULL, &sms, past, n, NULL, 0);
    sms.service = false;
    expect_verdict("{\"caps\": [{\"per\": \"customer\", \"max\": 0}]}", NULL, &sms, past, n, "customer_cap",
                   CONTACT_NEVER);
}
END_TEST

START_TEST(strictest_rule_counts)
{
    int64_t now = at("2026-05-20T22:00:00Z");
    struct contact call = {now, "call", "offer", false}, past[] = {{now - DAY, "call", "offer", false}};
    static const char policy[] = "{\"caps\": [{\"rule\": \"short\", \"per\": \"customer\", \"max\": 1, \"days\": 2}, "
                                 "{\"rule\": \"long\", \"per\": "
                                 "\"channel\", \"max\": 1, \"days\": 9}], \"quiet_hours\": [{\"from\": \"21:00\", "
                                 "\"to\": \"08:00\", \"channels\": "
                                 "[\"call\"]}]}";
    static const char all[] = "{\"call\": 1, \"marketing\": true}";
    expect_verdict(policy, all, &call, past, 1, "long", now + 8 * DAY);
    expect_verdict(policy, all, &call, past, 0, "quiet_hours", at("2026-05-21T08:00:00Z"));
    expect_verdict(policy, "{\"call\": true}", &call, past, 1, "marketing", CONTACT_NEVER);
    expect_verdict(policy, "{\"marketing\": true}", &call, past, 1, "consent", CONTACT_NEVER);
    expect_verdict(policy, "{}", &call, past, 1, "consent", CONTACT_NEVER);
    call.channel = "sms";
    expect_verdict(policy, "{\"sms\": true, \"marketing\": true}", &call, past, 0, NULL, 0);
    call.service = true;
    expect_verdict(policy, "{\"sms\": true}", &call, past, 1, NULL, 0);
    call.channel = "network";
    expect_verdict(policy, "{}", &call, past, 1, NULL, 0);
    call = (struct contact){at("2026-05-21T08:00:00Z"), "call", "offer", false};
    expect_verdict(policy, all, &call, past, 0, NULL, 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("treatments");
    TCase *c = tcase_create("words");
    tcase_add_test(c, limits_are_read);
    tcase_add_test(c, priorities_are_read);
    tcase_add_test(c, costs_are_read);
    tcase_add_test(c, states_and_channels_are_read);
    tcase_add_test(c, names_are_the_words_before);
    tcase_add_test(c, examples_of_the_sources);
    suite_add_tcase(s, c);
    c = tcase_create("records");
    tcase_add_test(c, records_have_defaults);
    tcase_add_test(c, wrong_members_are_named);
    suite_add_tcase(s, c);
    c = tcase_create("policy");
    tcase_add_test(c, days_end_at_local_midnight);
    tcase_add_test(c, caps_count_in_rolling_windows);
    tcase_add_test(c, strictest_rule_counts);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
