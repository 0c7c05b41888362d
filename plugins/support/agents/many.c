/* Several requests at once, and what came of them: see agents.h. A part is known by the id of its request. Loop thread.
 */
#include "agents.h"

#include "../../common/json_bytes.h"
#include "../../common/object.h"

#define RUN_KEY_SIZE 48
#define RUN_BYTES_MAX 56000 /* of the answers that are kept together, where nobody makes them smaller */
#define PARTS_MAX 62        /* a bit each */

static char *hex(char *to, uint64_t value)
{
    for (int shift = 60; shift >= 0; shift -= 4)
        *to++ = "0123456789abcdef"[value >> shift & 15];
    return to;
}

/* `name`: "" is the run itself. */
static void run_key(cvm_id id, const char *name, char ret_key[RUN_KEY_SIZE])
{
    size_t n = strnlen(name, RUN_KEY_SIZE - sizeof "run/" - 33);
    memcpy(ret_key, "run/", 4);
    char *to = hex(hex(ret_key + 4, id.hi), id.lo);
    if (n)
        *to++ = '/';
    memcpy(to, name, n);
    to[n] = '\0';
}

static void answer_key(cvm_id id, size_t i, char ret_key[RUN_KEY_SIZE])
{
    char name[] = {(char)('0' + i / 10), (char)('0' + i % 10), '\0'}; /* PARTS_MAX has two digits */
    run_key(id, i < 10 ? name + 1 : name, ret_key);
}

static json_t *failed_part(cvm_turn *t, const char *name, const char *code)
{
    return json_pack("{s:s, s:I, s:I, s:i, s:{s:s}}", "name", name, "started_ms", (json_int_t)cvm_now_ms(t), "ended_ms",
                     (json_int_t)cvm_now_ms(t), "outcome", (int)CVM_BUSY, "data", "code", code);
}

int many_send(cvm_turn *t, cvm_id request, json_t *what, struct part *parts, size_t n)
{
    char key[RUN_KEY_SIZE];
    json_t *list = json_array();
    int e = n <= PARTS_MAX ? CVM_OK : CVM_ELIMIT, under_way = 0;
    uint64_t left = 0;
    for (size_t i = 0; i < n; i++) {
        cvm_id id = {0, 0};
        if (e >= 0)
            e = cvm_look(/* what changes something is a request all the same */
                         t, parts[i].to, parts[i].type, parts[i].data,
                         &(cvm_request_opts){.on_behalf = request, .timeout_ms = parts[i].timeout_ms, .ret_id = &id});
        else
            json_decref(parts[i].data);
        if (e == CVM_ENOENT) {
            json_array_append_new(list, failed_part(t, parts[i].name, "NOT_LOADED"));
            e = CVM_OK;
        } else if (e >= 0) {
            under_way++;
            left |= UINT64_C(1) << i;
            json_t *part = json_object();
            OBJECT_TEXT(part, "name", parts[i].name);
            OBJECT_INT(part, "hi", (int64_t)id.hi);
            OBJECT_INT(part, "lo", (int64_t)id.lo);
            OBJECT_INT(part, "started_ms", cvm_now_ms(t));
            if (json_array_append_new(list, part) < 0)
                e = CVM_ENOMEM;
        }
    }
    json_t *run = json_object();
    OBJECT_PUT(run, "what", what);
    OBJECT_PUT(run, "parts", list);
    run_key(request, "left", key);
    if (e >= 0 && under_way > 1)
        e = cvm_state_put_int(t, key, (int64_t)left);
    run_key(request, "", key);
    if (e >= 0 && under_way > 0)
        e = cvm_state_put(t, key, run);
    else
        json_decref(run);
    return e < 0 ? e : under_way;
}

/* ---- answers ---- */

struct run {
    cvm_turn *t;
    cvm_id id;
    const json_t *parts;
    uint64_t left; /* those without an answer */
};

/* The bits are kept where there are several parts; those of one that was begun before say it themselves. */
static int load_left(struct run *r)
{
    char key[RUN_KEY_SIZE];
    const json_t *left = NULL;
    size_t n = json_array_size(r->parts);
    run_key(r->id, "left", key);
    int e = n > 1 ? cvm_state_get(r->t, key, &left) : CVM_ENOENT;
    if (e < 0 && e != CVM_ENOENT)
        return e;
    r->left = (uint64_t)json_integer_value(left);
    for (size_t i = 0; i < n && !left; i++)
        if (!json_object_get(json_array_get(r->parts, i), "outcome"))
            r->left |= UINT64_C(1) << i;
    return CVM_OK;
}

/* The answer of a part that has one, borrowed: it stands by itself, or in the part where that failed at once. */
static int answer_of(const struct run *r, size_t i, const json_t **ret_answer)
{
    char key[RUN_KEY_SIZE];
    const json_t *part = json_array_get(r->parts, i);
    if (json_object_get(part, "outcome")) {
        *ret_answer = part;
        return CVM_OK;
    }
    answer_key(r->id, i, key);
    return cvm_state_get(r->t, key, ret_answer);
}

/* What those parts have that stand before the one at `n` and have been answered. Gives. */
static int answered_before(const struct run *r, size_t n, json_t **ret_list)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) {
        const json_t *answer = NULL;
        int e = r->left >> i & 1 ? CVM_OK : answer_of(r, i, &answer);
        const json_t *data = json_object_get(answer, "data");
        if (e >= 0 && data && json_array_append(list, (json_t *)(uintptr_t)data) < 0)
            e = CVM_ENOMEM;
        if (e < 0) {
            json_decref(list);
            return e;
        }
    }
    *ret_list = list;
    return CVM_OK;
}

/* What is kept of an answer: what has no room is a part that has failed. */
static int make_answer(const struct run *r, size_t i, const cvm_msg *m, many_keep *keep, json_t **ret_answer)
{
    json_t *data = NULL, *before = NULL;
    int outcome = m->outcome;
    if (keep && outcome == CVM_REPLIED) {
        CVM_TRY(answered_before(r, i, &before));
        data = keep(r->t, m, before);
        json_decref(before);
    } else {
        data = cvm_json_share(m->data);
        size_t room = RUN_BYTES_MAX / json_array_size(r->parts);
        if (json_most_bytes(data) > room && json_dumpb(data, NULL, 0, JSON_COMPACT) > room) {
            json_decref(data);
            data = json_pack("{s:s}", "code", "TOO_LARGE");
            outcome = CVM_ERROR;
        }
    }
    json_t *answer = json_object();
    OBJECT_INT(answer, "ended_ms", cvm_now_ms(r->t));
    OBJECT_INT(answer, "outcome", outcome);
    if (data)
        OBJECT_PUT(answer, "data", data);
    *ret_answer = answer;
    return answer ? CVM_OK : CVM_ENOMEM;
}

/* The parts with their answers, `last` being that of part `n`; what was kept is gone. Gives. */
static int collect(const struct run *r, size_t n, json_t *last, json_t **ret_parts)
{
    char key[RUN_KEY_SIZE];
    json_t *parts = json_array();
    int e = parts ? CVM_OK : CVM_ENOMEM;
    for (size_t i = 0; i < json_array_size(r->parts) && e >= 0; i++) {
        const json_t *answer = last, *part = json_array_get(r->parts, i);
        if (i != n)
            e = answer_of(r, i, &answer);
        json_t *whole = json_copy((json_t *)(uintptr_t)part);
        json_object_update(whole, (json_t *)(uintptr_t)answer);
        if (json_array_append_new(parts, whole) < 0)
            e = CVM_ENOMEM;
        answer_key(r->id, i, key);
        if (e >= 0 && i != n && answer != part)
            e = cvm_state_del(r->t, key);
    }
    run_key(r->id, "left", key);
    if (e >= 0 && json_array_size(r->parts) > 1)
        e = cvm_state_del(r->t, key);
    if (e < 0)
        json_decref(parts);
    else
        *ret_parts = parts;
    return e;
}

static int put_answer(const struct run *r, size_t i, json_t *answer)
{
    char key[RUN_KEY_SIZE];
    answer_key(r->id, i, key);
    CVM_TRY(cvm_state_put(r->t, key, answer));
    run_key(r->id, "left", key);
    return cvm_state_put_int(r->t, key, (int64_t)r->left);
}

/* The last answer has come. Takes `answer`. */
static int complete(const struct run *r, const json_t *kept, size_t i, json_t *answer, json_t **ret_run)
{
    char key[RUN_KEY_SIZE];
    json_t *parts = NULL, *what = json_incref(json_object_get(kept, "what"));
    int e = collect(r, i, answer, &parts);
    json_decref(answer);
    run_key(r->id, "", key);
    if (e >= 0 && (e = cvm_state_del(r->t, key)) < 0)
        json_decref(parts);
    if (e < 0) {
        json_decref(what);
        return e;
    }
    json_t *run = json_object();
    OBJECT_PUT(run, "what", what);
    OBJECT_PUT(run, "parts", parts);
    *ret_run = run;
    return run ? CVM_OK : CVM_ENOMEM;
}

int many_answer(cvm_turn *t, const cvm_msg *m, many_keep *keep, json_t **ret_run)
{
    char key[RUN_KEY_SIZE];
    const json_t *kept = NULL;
    json_t *answer = NULL;
    size_t i = 0;
    *ret_run = NULL;
    run_key(m->on_behalf, "", key);
    int e = cvm_state_get(t, key, &kept);
    if (e == CVM_ENOENT)
        return CVM_OK; /* nobody waits for it any more */
    CVM_TRY(e);
    struct run r = {.t = t, .id = m->on_behalf, .parts = json_object_get(kept, "parts")};
    CVM_TRY(load_left(&r));
    for (; i < json_array_size(r.parts); i++) {
        const json_t *part = json_array_get(r.parts, i);
        cvm_id id = {(uint64_t)cvm_json_int(part, "hi", 0), (uint64_t)cvm_json_int(part, "lo", 0)};
        if (r.left >> i & 1 && cvm_id_eq(id, m->in_reply_to))
            break;
    }
    if (i == json_array_size(r.parts))
        return CVM_OK;
    CVM_TRY(make_answer(&r, i, m, keep, &answer));
    r.left &= ~(UINT64_C(1) << i);
    return r.left ? put_answer(&r, i, answer) : complete(&r, kept, i, answer, ret_run);
}

const json_t *many_part(const json_t *run, const char *name)
{
    const json_t *parts = json_object_get(run, "parts");
    for (size_t i = 0; i < json_array_size(parts); i++)
        if (strcmp(cvm_json_str(json_array_get(parts, i), "name", ""), name) == 0)
            return json_array_get(parts, i);
    return NULL;
}

bool many_replied(const json_t *part)
{
    return cvm_json_int(part, "outcome", CVM_ERROR) == CVM_REPLIED;
}
