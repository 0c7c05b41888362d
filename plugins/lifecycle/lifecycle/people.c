/* The population as lifecycle.simulation keeps it: "world" (day, epoch, figures), "who/<n>" the records of 25 personas
 * as they were loaded, "now/<n>" what has become of those of a batch. A persona's place is its place in the file. Loop
 * thread. */
#include "lifecycle.h"

#include <stdio.h>

int people_world(cvm_turn *t, json_t **ret_world)
{
    const json_t *world = NULL;
    int e = cvm_state_get(t, "world", &world);
    if (e < 0 && e != CVM_ENOENT)
        return e;
    json_t *copy = world ? json_deep_copy(world)
                         : json_pack("{s:i, s:i, s:i, s:b}", "epoch", 1, "day", 0, "personas", 0, "loaded", 0);
    if (!copy)
        return CVM_ENOMEM;
    *ret_world = copy;
    return CVM_OK;
}

int people_world_put(cvm_turn *t, json_t *world)
{
    return cvm_state_put(t, "world", world);
}

static const char *who_key(char key[32], int chunk)
{
    snprintf(key, 32, "who/%05d", chunk);
    return key;
}

static const char *now_key(char key[32], int batch)
{
    snprintf(key, 32, "now/%05d", batch);
    return key;
}

static void take_now(struct life_persona *p, const json_t *now)
{
    p->score = json_number_value(json_array_get(now, 0));
    p->score_before = json_number_value(json_array_get(now, 1));
    p->days_inactive = (int64_t)json_integer_value(json_array_get(now, 2));
    p->churned_on_day = (int64_t)json_integer_value(json_array_get(now, 3));
    p->churned = json_is_true(json_array_get(now, 4));
    const char *last = json_string_value(json_array_get(now, 5));
    p->last_action = last ? last : "";
}

static json_t *now_of(const struct life_persona *p)
{
    return json_pack("[o, o, I, I, b, s]", life_number(p->score), life_number(p->score_before),
                     (json_int_t)p->days_inactive, (json_int_t)p->churned_on_day, p->churned, p->last_action);
}

/* Keeps `value` for as long as what is read from it is used. */
static void hold(struct people *people, const json_t *value)
{
    json_array_append(people->records, (json_t *)(uintptr_t)value);
}

int people_read(cvm_turn *t, int batch, struct people *ret_people)
{
    char key[32];
    const json_t *now = NULL, *who = NULL;
    memset(ret_people, 0, sizeof *ret_people);
    CVM_TRY(cvm_state_get(t, now_key(key, batch), &now));
    ret_people->records = json_array();
    hold(ret_people, now);
    for (int i = 0; i < (int)json_array_size(now) && i < BATCH; i++) {
        if (i % CHUNK == 0) {
            int e = cvm_state_get(t, who_key(key, batch * (BATCH / CHUNK) + i / CHUNK), &who);
            if (e < 0)
                return e;
            hold(ret_people, who);
        }
        life_persona_take(json_array_get(who, (size_t)(i % CHUNK)), &ret_people->of[i]);
        take_now(&ret_people->of[i], json_array_get(now, (size_t)i));
        ret_people->n = i + 1;
    }
    return CVM_OK;
}

int people_write(cvm_turn *t, int batch, const struct people *people)
{
    char key[32];
    json_t *now = json_array();
    for (int i = 0; i < people->n; i++)
        json_array_append_new(now, now_of(&people->of[i]));
    return cvm_state_put(t, now_key(key, batch), now);
}

void people_fini(struct people *people)
{
    json_decref(people->records);
    people->records = NULL;
}

int people_load(cvm_turn *t, int batch, const json_t *records)
{
    char key[32], error[160];
    json_t *now = json_array(), *chunk = NULL;
    int e = CVM_OK, n = (int)json_array_size(records);
    for (int i = 0; e == CVM_OK && i < n && i < BATCH; i++) {
        struct life_persona p;
        json_t *record = json_array_get(records, (size_t)i);
        e = life_persona_read(record, &p, error, sizeof error);
        if (e < 0)
            break;
        json_array_append_new(now, now_of(&p));
        if (!chunk)
            chunk = json_array();
        json_array_append(chunk, record);
        if (i % CHUNK == CHUNK - 1 || i == n - 1) {
            e = cvm_state_put(t, who_key(key, batch * (BATCH / CHUNK) + i / CHUNK), chunk);
            chunk = NULL;
        }
    }
    json_decref(chunk);
    if (e < 0) {
        json_decref(now);
        return e;
    }
    return cvm_state_put(t, now_key(key, batch), now);
}

int people_find(cvm_turn *t, const char *key, int *ret_place)
{
    char name[32];
    const json_t *chunk = NULL;
    *ret_place = -1;
    for (int c = 0; c < LIFE_PERSONAS_MAX / CHUNK; c++) {
        int e = cvm_state_get(t, who_key(name, c), &chunk);
        if (e < 0)
            return e == CVM_ENOENT ? CVM_OK : e;
        for (size_t i = 0; i < json_array_size(chunk); i++)
            if (strcmp(cvm_json_str(json_array_get(chunk, i), "persona_key", ""), key) == 0) {
                *ret_place = c * CHUNK + (int)i;
                return CVM_OK;
            }
    }
    return CVM_OK;
}
