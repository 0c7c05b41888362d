/* See customers.h: loading the sources when the build starts, when a file changed, and before the first question.
 * Durable state: whether a timer is armed that looks again. Loop thread. */
#include "customers.h"

static bool ready;

bool is_ready(void)
{
    return ready;
}

int ready_then(cvm_turn *t, const cvm_msg *m, const char *as)
{
    if (ready)
        return data_go(t, m->id, as, m->data);
    CVM_TRY(cvm_job_start(t, "load", json_pack("{s:{s:s, s:O}}", "with", "as", as, "data", m->data), m->id, 0));
    return CVM_PENDING;
}

/* The next look, if there is to be one. The timer outlives the host, so a start arms one only where there is none. */
static int arm(cvm_turn *t)
{
    int64_t seconds = cvm_json_int(cvm_settings(t), "watch_seconds", 600);
    if (seconds <= 0)
        return cvm_state_del(t, "armed");
    CVM_TRY(cvm_state_put_int(t, "armed", 1));
    return cvm_timer(t, "watch", seconds * 1000, NULL, (cvm_id){0, 0}, NULL);
}

int data_start(cvm_turn *t, const cvm_msg *m)
{
    int64_t armed = 0;
    (void)m;
    CVM_TRY(cvm_job_start(t, "load", NULL, (cvm_id){0, 0}, 0));
    CVM_TRY(cvm_state_int(t, "armed", &armed));
    return armed ? CVM_OK : arm(t);
}

int data_watch(cvm_turn *t, const cvm_msg *m)
{
    (void)m;
    CVM_TRY(cvm_job_start(t, "load", NULL, (cvm_id){0, 0}, 0));
    return arm(t);
}

int data_load(cvm_turn *t, const cvm_msg *m)
{
    json_t *with = json_pack("{s:s, s:O}", "as", "load", "data", m->data);
    CVM_TRY(cvm_job_start(
        t, "load", json_pack("{s:b, s:o}", "force", cvm_json_bool(m->data, "force", false), "with", with), m->id, 0));
    return CVM_PENDING;
}

int data_loaded(cvm_turn *t, const cvm_msg *m)
{
    const json_t *with = json_object_get(m->data, "with"), *data = json_object_get(with, "data");
    const char *as = cvm_json_str(with, "as", "");
    if (m->outcome == CVM_REPLIED) {
        ready = true;
        if (cvm_json_bool(m->data, "changed", true))
            cache_clear(NULL);
    }
    if (cvm_id_is_none(m->on_behalf)) {
        if (m->outcome != CVM_REPLIED)
            cvm_log(t, CVM_LOG_WARNING, "the sources were not loaded: %s", cvm_json_str(m->data, "text", m->content));
        return CVM_OK;
    }
    if (m->outcome != CVM_REPLIED)
        return answer_failed(t, m->on_behalf, m);
    if (strcmp(as, "load") == 0)
        return answer(t, m->on_behalf,
                      json_pack("{s:b, s:O?}", "changed", cvm_json_bool(m->data, "changed", false), "with",
                                json_object_get(data, "with")));
    if (strcmp(as, "cleared") == 0)
        return answer(t, m->on_behalf, json_deep_copy(data));
    int e = data_go(t, m->on_behalf, as, data);
    return e == CVM_PENDING ? CVM_OK : e;
}
