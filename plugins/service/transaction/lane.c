/* Whether what a provider serves can be sold at the moment: a lane is a service and its network or company. One that
 * has failed for longer than `stop_after_s` is not sold until a probe finds it again; one whose float is low is
 * reported. Owns the state keys lane/ and the table `sales_stops`. A lane that serves has no state. Loop thread. */
#include "transaction.h"

static void lane_key(const char *service, const char *network, char ret_key[CVM_STATE_KEY_MAX + 1])
{
    snprintf(ret_key, CVM_STATE_KEY_MAX + 1, "lane/%.40s/%.40s", service, network);
}

int lane_stopped(cvm_turn *t, const char *service, const char *network, int64_t *ret_since_ms)
{
    char key[CVM_STATE_KEY_MAX + 1];
    const json_t *lane = NULL;
    lane_key(service, network, key);
    *ret_since_ms = 0;
    int e = cvm_state_get(t, key, &lane);
    if (e == CVM_OK && json_object_get(lane, "stopped_ms"))
        *ret_since_ms = cvm_json_int(lane, "since_ms", 0);
    return e == CVM_ENOENT ? CVM_OK : e;
}

/* The row, a line for operators, the topic for those who alert. */
static int report(cvm_turn *t, const char *key, const json_t *lane, const char *status)
{
    char since[TXN_TIME_SIZE], at[TXN_TIME_SIZE];
    const char *name = key + strlen("lane/"), *slash = strchr(name, '/');
    int64_t since_ms = cvm_json_int(lane, strcmp(status, "low_float") == 0 ? "low_ms" : "since_ms", cvm_now_ms(t));
    json_t *row = json_pack("{s:s, s:s%, s:s, s:s, s:s, s:s}", "lane", name, "service_type", name,
                            slash ? (size_t)(slash - name) : 0, "network_or_disco", slash ? slash + 1 : "", "status",
                            status, "since", time_text(since_ms, since), "at", time_text(cvm_now_ms(t), at));
    if (!row)
        return CVM_ENOMEM;
    cvm_log(t, strcmp(status, "selling") == 0 ? CVM_LOG_INFO : CVM_LOG_ERROR, "%s: %s since %s", name, status, since);
    CVM_TRY(cvm_note(t, "lane", json_incref(row)));
    CVM_TRY(cvm_publish(t, "sales.status", json_incref(row)));
    return cvm_row_put(t, "sales_stops", row);
}

static int stop(cvm_turn *t, const char *key, json_t *lane)
{
    json_object_set_new(lane, "stopped_ms", json_integer(cvm_now_ms(t)));
    CVM_TRY(cvm_metric(t, "sales_stopped_total", key + strlen("lane/"), 1));
    CVM_TRY(report(t, key, lane, "stopped"));
    return cvm_timer(t, "lane_probe", saga_setting_ms(t, "probe_every_s", 60) * 1000, json_pack("{s:s}", "key", key),
                     (cvm_id){0, 0}, NULL);
}

static int served(cvm_turn *t, const char *key, const json_t *lane)
{
    if (json_object_get(lane, "stopped_ms") || json_object_get(lane, "low_ms") || json_object_get(lane, "half_open"))
        CVM_TRY(report(t, key, lane, "selling"));
    return cvm_state_del(t, key);
}

static int failed(cvm_turn *t, const char *key, json_t *lane, const json_t *record)
{
    int64_t now = cvm_now_ms(t), fails = cvm_json_int(lane, "fails", 0) + 1;
    if (!json_object_get(lane, "since_ms"))
        json_object_set_new(lane, "since_ms", json_integer(now));
    json_object_set_new(lane, "fails", json_integer(fails));
    json_object_set_new(lane, "last", json_string(record_str(record, "transaction_id")));
    int64_t for_ms = now - cvm_json_int(lane, "since_ms", now);
    bool due = fails >= saga_setting_ms(t, "stop_after_failures", 3) &&
               for_ms >= saga_setting_ms(t, "stop_after_s", 600) * 1000;
    if (!json_object_get(lane, "stopped_ms") && (due || json_object_get(lane, "half_open")))
        CVM_TRY(stop(t, key, lane));
    return cvm_state_put(t, key, json_incref(lane));
}

static int low(cvm_turn *t, const char *key, json_t *lane)
{
    if (json_object_get(lane, "low_ms"))
        return CVM_OK;
    json_object_set_new(lane, "low_ms", json_integer(cvm_now_ms(t)));
    CVM_TRY(report(t, key, lane, "low_float"));
    return cvm_state_put(t, key, json_incref(lane));
}

int lane_tell(cvm_turn *t, const cvm_msg *m, const json_t *record, enum lane_news news)
{
    char key[CVM_STATE_KEY_MAX + 1];
    const json_t *known = NULL;
    (void)m;
    lane_key(record_str(record, "service_type"), record_str(record, "network_or_disco"), key);
    int e = cvm_state_get(t, key, &known);
    if (e == CVM_ENOENT && news == LANE_SERVES)
        return CVM_OK;
    if (e < 0 && e != CVM_ENOENT)
        return e;
    json_t *lane = known ? json_copy((json_t *)(uintptr_t)known) : json_object();
    if (!lane)
        return CVM_ENOMEM;
    e = news == LANE_SERVES  ? served(t, key, lane)
        : news == LANE_FAILS ? failed(t, key, lane, record)
                             : low(t, key, lane);
    json_decref(lane);
    return e;
}

/* Half open: the next failure stops it again at once, the next success ends the story. */
static int resume(cvm_turn *t, const char *key, json_t *lane)
{
    json_object_del(lane, "stopped_ms");
    json_object_set_new(lane, "half_open", json_true());
    CVM_TRY(report(t, key, lane, "selling"));
    return cvm_state_put(t, key, json_incref(lane));
}

/* Asks what became of the last purchase that failed: an answer shows that the provider is there again. */
int lane_probe(cvm_turn *t, const cvm_msg *m)
{
    const char *key = cvm_json_str(m->data, "key", "");
    const json_t *known = NULL;
    json_t *record = NULL;
    int e = cvm_state_get(t, key, &known);
    if (e < 0)
        return e == CVM_ENOENT ? CVM_OK : e;
    if (!json_object_get(known, "stopped_ms"))
        return CVM_OK;
    json_t *lane = json_copy((json_t *)(uintptr_t)known);
    e = record_load(t, cvm_json_str(lane, "last", ""), &record);
    if (e == CVM_ENOENT) { /* nothing left to ask about */
        e = resume(t, key, lane);
    } else if (e == CVM_OK) {
        const char *vend = record_str(record, "vend_reference");
        e = cvm_request(
            t, record_str(record, "seller"), "check_delivery",
            json_pack("{s:s, s:O}", "transaction_id", *vend ? vend : record_str(record, "transaction_id"), "delivery",
                      json_object_get(record, "delivery")),
            &(cvm_request_opts){.on_behalf = record_cookie_n(record_str(record, "transaction_id"), TXN_PROBE),
                                .timeout_ms = 45000});
        if (e >= 0)
            e = cvm_timer(t, "lane_probe", saga_setting_ms(t, "probe_every_s", 60) * 1000,
                          json_pack("{s:s}", "key", key), (cvm_id){0, 0}, NULL);
    }
    json_decref(record);
    json_decref(lane);
    return e;
}

int lane_probed(cvm_turn *t, const json_t *record)
{
    char key[CVM_STATE_KEY_MAX + 1];
    const json_t *known = NULL;
    lane_key(record_str(record, "service_type"), record_str(record, "network_or_disco"), key);
    int e = cvm_state_get(t, key, &known);
    if (e < 0)
        return e == CVM_ENOENT ? CVM_OK : e;
    if (!json_object_get(known, "stopped_ms"))
        return CVM_OK;
    json_t *lane = json_copy((json_t *)(uintptr_t)known);
    e = resume(t, key, lane);
    json_decref(lane);
    return e;
}

int lane_list(cvm_turn *t, const cvm_msg *m)
{
    json_t *where = json_object();
    if (json_object_get(m->data, "status"))
        json_object_set(where, "status", json_object_get(m->data, "status"));
    return lookup_table(t, m, "sales_stops", where, "-at");
}
