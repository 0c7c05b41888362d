/* An experiment of the area lifecycle names actions: those that offer actions are asked which there are before it is
 * kept. Loop thread. */
#include "experiment.h"

#include "../../common/pending.h"

#include <stdio.h>

#define ROLE "lifecycle.action"
#define ASKED_MAX 64
#define NAMED_MAX 64 /* actions that are told from each other */
#define DESCRIBE_MS 2000

static bool offers(const json_t *component)
{
    const json_t *roles = json_object_get(component, "roles");
    for (size_t i = 0; i < json_array_size(roles); i++)
        if (strcmp(json_string_value(json_array_get(roles, i)), ROLE) == 0)
            return true;
    return false;
}

static bool among(const json_t *list, const char *text)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (strcmp(json_string_value(json_array_get(list, i)), text) == 0)
            return true;
    return false;
}

/* The first action of `lists[0..1]` of a variant that is not there; NULL: all are. */
static const char *unknown(const json_t *variant, const json_t *actions, const char **ret_member)
{
    static const char *const lists[] = {"actions", "without"};
    for (size_t k = 0; k < 2; k++) {
        const json_t *named = json_object_get(json_object_get(variant, "settings"), lists[k]);
        *ret_member = lists[k];
        for (size_t i = 0; i < json_array_size(named); i++) {
            const char *action = json_string_value(json_array_get(named, i));
            if (strcmp(action, "NO_ACTION") != 0 && !among(actions, action))
                return action;
        }
    }
    return NULL;
}

static int refuse_unknown(cvm_turn *t, cvm_id request, const char *variant, const char *member, const char *action,
                          const json_t *actions)
{
    char names[2000], text[2300];
    experiment_names(actions, NULL, 0, names, sizeof names);
    snprintf(text, sizeof text, "settings.%s.%s: there is no action %.64s; there are %s", variant, member, action,
             names);
    return cvm_settle(t, request, CVM_REFUSED,
                      json_pack("{s:s, s:s, s:s}", "code", "INVALID", "field", "settings", "message", text), NULL);
}

/* All have answered. */
static int decide(cvm_turn *t, cvm_id request, const json_t *what)
{
    const json_t *experiment = json_object_get(what, "experiment"), *actions = json_object_get(what, "actions");
    const json_t *variants = json_object_get(experiment, "variants");
    bool sure = !cvm_json_bool(what, "partly", false) && json_array_size(actions) < NAMED_MAX;
    const char *member, *action;
    for (size_t i = 0; sure && i < json_array_size(variants); i++) {
        const json_t *one = json_array_get(variants, i);
        if ((action = unknown(one, actions, &member)))
            return refuse_unknown(t, request, cvm_json_str(one, "name", ""), member, action, actions);
    }
    return experiment_keep(t, request, cvm_json_share(experiment));
}

/* By the name, so that it does not matter who answers first. */
static void add(json_t *actions, const char *action)
{
    size_t at = 0;
    if (!*action || strlen(action) > ID_MAX || among(actions, action) || json_array_size(actions) == NAMED_MAX)
        return;
    while (at < json_array_size(actions) && strcmp(json_string_value(json_array_get(actions, at)), action) < 0)
        at++;
    json_array_insert_new(actions, at, json_string(action));
}

static int heard(cvm_turn *t, const cvm_msg *m, const json_t *what)
{
    const json_t *treatments = json_object_get(m->data, "treatments");
    json_t *now = json_deep_copy(what);
    if (!now)
        return CVM_ENOMEM;
    for (size_t i = 0; m->outcome == CVM_REPLIED && i < json_array_size(treatments); i++)
        add(json_object_get(now, "actions"), cvm_json_str(json_array_get(treatments, i), "action", ""));
    if (m->outcome != CVM_REPLIED)
        json_object_set_new(now, "partly", json_true());
    int64_t waiting = cvm_json_int(now, "waiting", 1) - 1;
    json_object_set_new(now, "waiting", json_integer(waiting));
    if (waiting > 0)
        return pending_put(t, m->on_behalf, now);
    int e = decide(t, m->on_behalf, now);
    json_decref(now);
    return e == CVM_ENOENT ? CVM_OK : e;
}

int experiment_on_described(cvm_turn *t, const cvm_msg *m)
{
    return pending_resume(t, m, heard);
}

int experiment_check_actions(cvm_turn *t, const cvm_msg *m, json_t *experiment)
{
    const json_t *components = cvm_registry(t, "components"), *variants = json_object_get(experiment, "variants");
    const char *member;
    bool names = false;
    int64_t waiting = 0;
    int e = CVM_OK;
    for (size_t i = 0; i < json_array_size(variants); i++)
        names |= unknown(json_array_get(variants, i), NULL, &member) != NULL;
    for (size_t i = 0; names && e == CVM_OK && i < json_array_size(components) && waiting < ASKED_MAX; i++) {
        const json_t *c = json_array_get(components, i);
        if (!offers(c))
            continue;
        e = cvm_request(t, cvm_json_str(c, "id", ""), "describe", NULL,
                        &(cvm_request_opts){.timeout_ms = DESCRIBE_MS, .on_behalf = m->id});
        waiting++;
    }
    if (e == CVM_OK && !waiting) /* none are named, or nobody offers any here */
        return experiment_keep(t, m->id, experiment);
    if (e == CVM_OK)
        e = pending_put(
            t, m->id,
            json_pack("{s:O, s:[], s:I}", "experiment", experiment, "actions", "waiting", (json_int_t)waiting));
    json_decref(experiment);
    return e < 0 ? e : CVM_PENDING;
}
