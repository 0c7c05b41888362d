/* Transfers over an outside that may answer late, twice or never: each is charged, delivered, and refunded where it
 * cannot be delivered; some take a unit of a limited resource. Build 2 keeps its state in another version. */
#include <cvm/cvm.h>
#include <cvm/json.h>

#include <stdio.h>

#ifndef BUILD
#define BUILD 1
#endif
#define ME "sim.ledger"
#define CALL_MS 300000 /* a call's own deadline */
#define AFTER_MS 60000 /* then nothing of it is under way any more */
#define TICK_MS 60000

static json_t *changed(const json_t *object)
{
    return json_copy((json_t *)(uintptr_t)object);
}

static bool final_step(const char *step)
{
    return strcmp(step, "done") == 0 || strcmp(step, "refunded") == 0 || strcmp(step, "dropped") == 0;
}

static void place_of(const char *ref, char ret_key[64])
{
    snprintf(ret_key, 64, "t/%.40s", ref);
}

/* Which transfer a call was for stands under its id until its answer comes. */
static void question_of(cvm_id id, char ret_key[64])
{
    snprintf(ret_key, 64, "q/%016llx%016llx", (unsigned long long)id.hi, (unsigned long long)id.lo);
}

/* The transfer remembers its latest call: the answers of earlier ones do not count. */
static int call(cvm_turn *t, const char *name, const char *ref, json_t *transfer)
{
    char key[64], question[64];
    cvm_id id = {0, 0};
    snprintf(key, sizeof key, "%.40s%s", ref, strcmp(name, "refund") == 0 ? "/r" : "");
    json_t *query = strcmp(name, "look") == 0 ? json_pack("{s:s}", "key", key) : NULL;
    cvm_call c = {.size = sizeof c, .name = name, .key = key, .query = query};
    if (!query) {
        c.headers = json_pack("{s:s}", "Authorization", "Bearer ${SIM_KEY}");
        c.body = json_pack("{s:s, s:O}", "ref", ref, "amount", json_object_get(transfer, "amount"));
    }
    c.deadline_ms = cvm_now_ms(t) + CALL_MS;
    int e = cvm_http_call(t, &c, &id);
    json_decref(query);
    if (e < 0)
        return e;
    question_of(id, question);
    json_object_set_new(transfer, "call", json_string(question));
    return cvm_state_put(t, question, json_string(ref));
}

static int give_back(cvm_turn *t, const json_t *transfer)
{
    int64_t used = 0;
    if (!cvm_json_bool(transfer, "unit", false))
        return CVM_OK;
    CVM_TRY(cvm_state_int(t, "used", &used));
    return cvm_state_put_int(t, "used", used - 1);
}

/* Whoever asked hears of it, if they still wait. */
static int tell(cvm_turn *t, const json_t *transfer, const char *ref, const char *step)
{
    const json_t *asker = json_object_get(transfer, "asker");
    cvm_id id = {(uint64_t)json_integer_value(json_array_get(asker, 0)),
                 (uint64_t)json_integer_value(json_array_get(asker, 1))};
    bool done = strcmp(step, "done") == 0;
    int e =
        cvm_settle(t, id, done ? CVM_REPLIED : CVM_REFUSED, json_pack("{s:s, s:s}", "ref", ref, "step", step), NULL);
    return e == CVM_ENOENT ? CVM_OK : e;
}

/* Takes `transfer`. */
static int move(cvm_turn *t, const char *ref, json_t *transfer, const char *step)
{
    char key[64];
    int e = CVM_OK;
    place_of(ref, key);
    json_object_set_new(transfer, "step", json_string(step));
    json_object_set_new(transfer, "until", json_integer(cvm_now_ms(t) + CALL_MS + AFTER_MS));
    if (strcmp(step, "charging") == 0)
        e = call(t, "charge", ref, transfer);
    else if (strcmp(step, "delivering") == 0)
        e = call(t, "deliver", ref, transfer);
    else if (strcmp(step, "refunding") == 0)
        e = call(t, "refund", ref, transfer);
    else if (strcmp(step, "done") == 0)
        e = call(t, "tell", ref, transfer);
    else
        e = give_back(t, transfer);
    if (e >= 0 && final_step(step))
        e = tell(t, transfer, ref, step);
    if (e >= 0)
        e = cvm_note(t, "step", json_pack("{s:s, s:s}", "ref", ref, "step", step));
    if (e >= 0)
        e = cvm_row_put(t, "sim_transfers",
                        json_pack("{s:s, s:s, s:O, s:s}", "ref", ref, "step", step, "amount",
                                  json_object_get(transfer, "amount"), "conversation", ""));
    if (e < 0) {
        json_decref(transfer);
        return e;
    }
    return cvm_state_put(t, key, transfer);
}

static int transfer(cvm_turn *t, const cvm_msg *m)
{
    const char *ref = cvm_json_str(m->data, "ref", "");
    bool unit = cvm_json_bool(m->data, "unit", false);
    const json_t *settings = cvm_settings(t), *known = NULL;
    char key[64];
    int64_t used = 0;
    place_of(ref, key);
    int e = cvm_state_get(t, key, &known);
    if (e != CVM_ENOENT)
        return e < 0 ? e : cvm_refuse(t, "EXISTS", "ref", "there is a transfer of this name");
    if (unit) {
        CVM_TRY(cvm_state_int(t, "used", &used));
        if (used >= cvm_json_int(settings, "units", 0) && cvm_json_bool(settings, "check_units", true))
            return cvm_refuse(t, "EXHAUSTED", "unit", "no units are left");
        CVM_TRY(cvm_state_put_int(t, "used", used + 1));
        CVM_TRY(cvm_note(t, "unit", json_pack("{s:s, s:I}", "ref", ref, "used", (json_int_t)used + 1)));
    }
    json_t *fresh = json_pack("{s:O, s:b, s:[I, I]}", "amount", json_object_get(m->data, "amount"), "unit", unit,
                              "asker", (json_int_t)m->id.hi, (json_int_t)m->id.lo);
    CVM_TRY(move(t, ref, fresh, "charging"));
    return CVM_PENDING;
}

/* An answer says yes, no, or nothing; in the last case the next sweep asks again. */
static int answered(cvm_turn *t, const cvm_msg *m, const char *in_step, const char *yes, const char *no)
{
    const json_t *name = NULL, *kept = NULL;
    char question[64], key[64], ref[48];
    question_of(m->in_reply_to, question);
    int e = cvm_state_get(t, question, &name);
    if (e < 0)
        return e == CVM_ENOENT ? CVM_OK : e;
    snprintf(ref, sizeof ref, "%s", json_string_value(name));
    CVM_TRY(cvm_state_del(t, question));
    place_of(ref, key);
    CVM_TRY(cvm_state_get(t, key, &kept));
    if (strcmp(cvm_json_str(kept, "step", ""), in_step) != 0 || strcmp(cvm_json_str(kept, "call", ""), question) != 0)
        return CVM_OK;
    int64_t status = m->outcome == CVM_REPLIED ? cvm_json_int(m->data, "status", 0) : 0;
    const char *next = status == 200 ? yes : status >= 400 && status < 500 ? no : NULL;
    if (next)
        return move(t, ref, changed(kept), next);
    json_t *open = changed(kept);
    json_object_set_new(open, "until", json_integer(0));
    return cvm_state_put(t, key, open);
}

static int charged(cvm_turn *t, const cvm_msg *m)
{
    return answered(t, m, "charging", "delivering", "dropped");
}

static int delivered(cvm_turn *t, const cvm_msg *m)
{
    return answered(t, m, "delivering", "done", "refunding");
}

static int refunded(cvm_turn *t, const cvm_msg *m)
{
    return answered(t, m, "refunding", "refunded", NULL);
}

static int told(cvm_turn *t, const cvm_msg *m)
{
    return answered(t, m, "", NULL, NULL);
}

/* What became of a delivery whose outcome was never heard: 404 says that it may be tried again. */
static int looked(cvm_turn *t, const cvm_msg *m)
{
    return answered(t, m, "delivering", "done", "delivering");
}

/* ---- the host asks whether a delivery took place ---- */

static int was_delivered(cvm_turn *t, const cvm_msg *m)
{
    json_t *query = json_pack("{s:s}", "key", cvm_json_str(m->data, "key", ""));
    cvm_call c = {.size = sizeof c, .name = "status", .query = query, .on_behalf = m->id, .timeout_ms = 10000};
    int e = cvm_http_call(t, &c, NULL);
    json_decref(query);
    return e < 0 ? e : CVM_PENDING;
}

static int status_came(cvm_turn *t, const cvm_msg *m)
{
    int64_t status = m->outcome == CVM_REPLIED ? cvm_json_int(m->data, "status", 0) : 0;
    bool known = status == 200 || status == 404;
    int e = cvm_settle(
        t, m->on_behalf, known ? CVM_REPLIED : CVM_ERROR,
        known ? json_pack("{s:b, s:O?}", "found", status == 200, "result", json_object_get(m->data, "body")) : NULL,
        NULL);
    return e == CVM_ENOENT ? CVM_OK : e;
}

/* ---- what was left lying ---- */

static int sweep_all(cvm_turn *t, int64_t *ret_open)
{
    json_t *pairs = NULL, *pair;
    size_t i;
    int e = CVM_OK;
    int moved = 0;
    CVM_TRY(cvm_state_scan(t, "t/", NULL, 1000, &pairs));
    json_array_foreach(pairs, i, pair)
    {
        const json_t *kept = json_array_get(pair, 1);
        const char *ref = json_string_value(json_array_get(pair, 0)) + 2, *step = cvm_json_str(kept, "step", "");
        if (e < 0 || final_step(step))
            continue;
        ++*ret_open;
        if (cvm_json_int(kept, "until", 0) > cvm_now_ms(t) || ++moved > 40)
            continue;
        if (strcmp(step, "delivering") == 0) {
            json_t *asked = changed(kept);
            json_object_set_new(asked, "until", json_integer(cvm_now_ms(t) + CALL_MS + AFTER_MS));
            char key[64];
            place_of(ref, key);
            e = call(t, "look", ref, asked);
            if (e < 0)
                json_decref(asked);
            else
                e = cvm_state_put(t, key, asked);
        } else {
            e = move(t, ref, changed(kept), step);
        }
    }
    json_decref(pairs);
    return e;
}

static int sweep(cvm_turn *t, const cvm_msg *m)
{
    int64_t open = 0;
    CVM_TRY(sweep_all(t, &open));
    return cvm_reply(t, m, json_pack("{s:I}", "open", (json_int_t)open));
}

static int tick(cvm_turn *t, const cvm_msg *m)
{
    int64_t open = 0;
    (void)m;
    CVM_TRY(cvm_timer(t, "tick", TICK_MS, NULL, (cvm_id){0, 0}, NULL));
    return sweep_all(t, &open);
}

static int started(cvm_turn *t, const cvm_msg *m)
{
    const json_t *ticking = NULL;
    (void)m;
    int e = cvm_state_get(t, "ticking", &ticking);
    if (e != CVM_ENOENT)
        return e;
    CVM_TRY(cvm_state_put(t, "ticking", json_true()));
    return cvm_timer(t, "tick", TICK_MS, NULL, (cvm_id){0, 0}, NULL);
}

static int look(cvm_turn *t, const cvm_msg *m)
{
    int64_t used = 0;
    CVM_TRY(cvm_state_int(t, "used", &used));
    return cvm_reply(t, m, json_pack("{s:I, s:i}", "used", (json_int_t)used, "build", BUILD));
}

#if BUILD == 2
static int upgrade(uint32_t from, const char *key, const json_t *value, json_t **ret_value)
{
    (void)from;
    *ret_value = strncmp(key, "t/", 2) == 0 ? json_copy((json_t *)(uintptr_t)value) : cvm_json_share(value);
    return *ret_value ? CVM_OK : CVM_ENOMEM;
}

static int downgrade(uint32_t to, const char *key, const json_t *value, json_t **ret_value)
{
    return upgrade(to, key, value, ret_value);
}
#endif

static const cvm_component components[] = {{.id = ME,
                                            .state_version = BUILD,
#if BUILD == 2
                                            .upgrade = upgrade,
                                            .downgrade = downgrade
#endif
                                           },
                                           {0}};
static const cvm_route routes[] = {{ME, "transfer", transfer},
                                   {ME, "charge.reply", charged},
                                   {ME, "deliver.reply", delivered},
                                   {ME, "refund.reply", refunded},
                                   {ME, "tell.reply", told},
                                   {ME, "look.reply", looked},
                                   {ME, "was_delivered", was_delivered},
                                   {ME, "status.reply", status_came},
                                   {ME, "sweep", sweep},
                                   {ME, "tick", tick},
                                   {ME, "start", started},
                                   {ME, "used", look},
                                   {0}};
#if BUILD == 2
CVM_PLUGIN(.name = "ledger", .version = "2.0.0", .components = components, .routes = routes);
#else
CVM_PLUGIN(.name = "ledger", .version = "1.0.0", .components = components, .routes = routes);
#endif
