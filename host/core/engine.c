/* The conversation engine: a component of the host that leads a conversation over agents. `converse` opens it; each
 * step is a request `handle` to one agent; the agent's reply names the next one, or leaves it to the context's route,
 * or ends. The engine checks every step against the manifests and config/transitions.json, counts rounds, and keeps
 * in the context who took part. What customers write never reaches these decisions. */
#include "core/internal.h"

#include "core/envelope_words.h"
#include <cvm/json.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ENGINE_STEPS_KEPT_MAX 200
#define ENGINE_NOTE_MAX_BYTES 160 /* of what an agent said, where it notes nothing */

struct transitions {
    json_t *doc;
};

static bool forbidden(const struct core *core, const struct component *from, const struct component *to)
{
    const json_t *list = core->transitions ? json_object_get(core->transitions->doc, "forbid") : NULL;
    size_t i;
    json_t *pair;
    json_array_foreach(list, i, pair)
    {
        const char *a = json_string_value(json_array_get(pair, 0)), *b = json_string_value(json_array_get(pair, 1));
        if (registry_component_matches(from, a) && registry_component_matches(to, b))
            return true;
    }
    return false;
}

static bool allowed(const struct core *core, const struct component *from, const struct component *to)
{
    for (size_t i = 0; i < from->now->decl->next.n; i++)
        if (registry_component_matches(to, from->now->decl->next.at[i]))
            return !forbidden(core, from, to);
    return false;
}

/* HOME/config/transitions.json: {"forbid": [["from", "to"], ..]}; each an id, an alias, "role:R" or "*". Gives NULL
 * where there is no such file. Any thread. */
int transitions_read(const char *home, struct transitions **ret_transitions, char *ret_error, size_t error_size)
{
    char path[4096];
    json_error_t fault;
    size_t i;
    json_t *pair;
    snprintf(path, sizeof path, "%s/config/transitions.json", home);
    *ret_transitions = NULL;
    FILE *f = fopen(path, "re");
    if (!f)
        return 0;
    json_t *doc = json_loadf(f, JSON_REJECT_DUPLICATES, &fault);
    fclose(f);
    if (!doc) {
        snprintf(ret_error, error_size, "%s:%d: %s", path, fault.line, fault.text);
        return CVM_EINVAL;
    }
    bool good = json_is_object(doc) && json_is_array(json_object_get(doc, "forbid")) && json_object_size(doc) == 1;
    json_array_foreach(json_object_get(doc, "forbid"), i, pair) good = good && json_array_size(pair) == 2 &&
                                                                       json_is_string(json_array_get(pair, 0)) &&
                                                                       json_is_string(json_array_get(pair, 1));
    struct transitions *t = good ? calloc(1, sizeof *t) : NULL;
    if (!t) {
        snprintf(ret_error, error_size,
                 good ? "%s: out of memory" : "%s: must be {\"forbid\": [[\"from\", \"to\"], ...]}", path);
        json_decref(doc);
        return good ? CVM_ENOMEM : CVM_EINVAL;
    }
    t->doc = doc;
    *ret_transitions = t;
    return 0;
}

const json_t *transitions_doc(const struct transitions *transitions)
{
    return transitions ? transitions->doc : NULL;
}

int transitions_take(json_t *doc, struct transitions **ret_transitions)
{
    struct transitions *t = doc ? calloc(1, sizeof *t) : NULL;
    if (doc && !t) {
        json_decref(doc);
        return CVM_ENOMEM;
    }
    if (t)
        t->doc = doc;
    *ret_transitions = t;
    return 0;
}

void transitions_free(struct transitions *transitions)
{
    if (transitions)
        json_decref(transitions->doc);
    free(transitions);
}

static const char *shown(const struct component *c)
{
    return c->alias ? c->alias : c->id->text;
}

static struct component *resolve(struct core *core, const struct component *from, const char *who, const json_t *fields)
{
    char area[CVM_NAME_MAX + 1] = "";
    if (strncmp(who, "role:", 5) == 0)
        return registry_role(core, who + 5, fields);
    if (from)
        snprintf(area, sizeof area, "%.*s", (int)strcspn(from->id->text, "."), from->id->text);
    return registry_find(core, who, *area ? area : NULL);
}

static void set(cvm_turn *t, const char *path, json_t *value)
{
    if (turn_context_set(t, path, value) < 0)
        log_warning("host.conversation", "the context refuses %s", path);
}

static json_t *now_json(cvm_turn *t)
{
    char text[32];
    time_text(cvm_now_ms(t), text);
    return json_string(text);
}

/* A turn of the engine. What it writes into the context it writes last, when nothing can fail any more: within an
 * agent's turn a step that fails is taken back (lead.c). */
struct step {
    cvm_turn *t;
    cvm_id opener;
    const struct component *agent; /* who has answered; NULL: nobody yet, or it is gone */
    const cvm_msg *answer;
    bool noted; /* the answer, in the context */
};

/* Members one by one: these are made for every step, and json_pack reads its format each time. */
static bool put(json_t *object, const char *name, json_t *value)
{
    return json_object_set_new_nocheck(object, name, value) == 0;
}

static json_t *whole(json_t *object, bool good)
{
    if (good)
        return object;
    json_decref(object);
    return NULL;
}

static json_t *step_json(const struct step *s, int64_t started_ms, int64_t now_ms)
{
    const cvm_msg *m = s->answer;
    const char *said = cvm_json_str(m->data, "note", cvm_json_str(m->data, "content", ""));
    const json_t *confidence = json_object_get(json_object_get(m->data, "structured_data"), "confidence");
    size_t len = strnlen(said, ENGINE_NOTE_MAX_BYTES);
    char started[32];
    while (len > 0 && said[len] && ((unsigned char)said[len] & 0xC0) == 0x80) /* never inside a character */
        len--;
    time_text(started_ms, started);
    json_t *step = json_object();
    bool good = put(step, "agent", json_string(shown(s->agent))) && put(step, "step", json_string("handle")) &&
                put(step, "started_at", json_string(started)) &&
                put(step, "duration_ms", json_integer((json_int_t)(now_ms - started_ms))) &&
                put(step, "result", json_string(outcome_words[m->outcome])) &&
                put(step, "note", json_stringn(said, len)) &&
                (!confidence || put(step, "confidence", cvm_json_share(confidence)));
    return whole(step, good);
}

/* What the agent did; of the first step, when it was. */
static void note_answer(struct step *s)
{
    const cvm_msg *m = s->answer;
    const json_t *context = turn_context(s->t), *all = json_object_get(context, "processing_steps");
    if (s->noted)
        return;
    s->noted = true;
    if (!m)
        set(s->t, "/created_at", now_json(s->t));
    if (!m || !s->agent || json_array_size(all) >= ENGINE_STEPS_KEPT_MAX)
        return;
    int64_t now = cvm_now_ms(s->t);
    json_t *step = step_json(s, cvm_json_int(json_object_get(context, "engine"), "started_ms", now), now);
    if (step)
        set(s->t, "/processing_steps/-", step);
}

/* Ends the conversation and answers whoever opened it. Takes `error`. */
static int finish(struct step *s, const char *ended, const json_t *answer, json_t *error)
{
    const json_t *context = turn_context(s->t);
    const json_t *data = json_object_get(answer, "structured_data");
    const json_t *agents = json_object_get(context, "agents_involved");
    json_t *result = json_object();
    bool good = put(result, "content", json_string(cvm_json_str(answer, "content", ""))) &&
                put(result, "structured_data", json_is_object(data) ? cvm_json_share(data) : json_object()) &&
                put(result, "agents_involved", agents ? cvm_json_share(agents) : json_null()) &&
                put(result, "rounds", json_integer((json_int_t)cvm_json_int(context, "rounds", 0))) &&
                put(result, "ended", json_string(ended)) &&
                put(result, "last", json_string(cvm_json_str(context, "current_agent", "")));
    good = put(result, "error", error ? error : json_null()) && good; /* taken in any case */
    result = whole(result, good);
    CVM_TRY(cvm_note(s->t, "conversation_ended", json_pack("{s:s}", "by", ended)));
    int e = cvm_settle(s->t, s->opener, CVM_REPLIED, result, NULL);
    if (e < 0 && e != CVM_ENOENT) /* the opener's deadline has passed */
        return e;
    note_answer(s);
    set(s->t, "/updated_at", now_json(s->t));
    return CVM_OK;
}

static void involve(cvm_turn *t, const struct component *agent)
{
    const json_t *all = json_object_get(turn_context(t), "agents_involved");
    json_t *value;
    size_t i;
    json_array_foreach(all, i, value) if (strcmp(json_string_value(value), shown(agent)) == 0) return;
    set(t, "/agents_involved/-", json_string(shown(agent)));
}

/* What the agent is asked. */
static json_t *handle_json(const struct step *s, const json_t *content, const json_t *data, int64_t round)
{
    json_t *message = json_object(), *body = json_object();
    bool good = put(message, "content", content ? cvm_json_share(content) : json_string("")) &&
                put(message, "structured_data", data ? cvm_json_share(data) : json_object()) &&
                put(message, "from", json_string(s->agent ? shown(s->agent) : ""));
    good = put(body, "message", whole(message, good)) && put(body, "round", json_integer((json_int_t)round));
    return whole(body, good);
}

static json_t *engine_json(cvm_turn *t, const struct component *agent)
{
    json_t *engine = json_object();
    bool good = put(engine, "agent", json_string(agent->id->text)) &&
                put(engine, "started_ms", json_integer((json_int_t)cvm_now_ms(t)));
    return whole(engine, good);
}

static int begin(struct step *s, struct component *agent, const json_t *content, const json_t *data)
{
    cvm_turn *t = s->t;
    int64_t round = cvm_json_int(turn_context(t), "rounds", 0) + 1;
    int64_t most = config_int(((struct turn *)t)->core->options.config, "conversation.max_rounds", 30);
    if (round > most) {
        log_info("host.conversation", "a conversation passed %lld rounds", (long long)most);
        return finish(
            s, "rounds", NULL,
            json_pack("{s:s, s:s}", "code", "MAX_ROUNDS", "message", "the conversation passed its round limit"));
    }
    int e = cvm_request(t, agent->id->text, "handle", handle_json(s, content, data, round),
                        &(cvm_request_opts){.on_behalf = s->opener});
    if (e < 0 && e != CVM_ENOENT)
        return e;
    note_answer(s);
    set(t, "/rounds", json_integer(round));
    set(t, "/current_agent", json_string(shown(agent)));
    set(t, "/engine", engine_json(t, agent));
    involve(t, agent);
    return e == CVM_ENOENT ? finish(s, "error", NULL,
                                    json_pack("{s:s, s:s}", "code", "NO_HANDLE", "message",
                                              "the agent does not take conversations"))
                           : CVM_PENDING;
}

static int converse(cvm_turn *t, const cvm_msg *m)
{
    struct core *core = ((struct turn *)t)->core;
    const json_t *message = json_object_get(m->data, "message");
    const char *first = cvm_json_str(m->data, "first", "");
    struct component *agent = resolve(core, ((struct turn *)t)->message->from, first, m->data);
    if (!agent)
        return cvm_refuse(t, "NOT_FOUND", "first", "the first agent is not loaded");
    if (!*m->conversation)
        return cvm_refuse(t, "EPHEMERAL", NULL, "a conversation must be durable");
    return begin(&(struct step){.t = t, .opener = m->id}, agent, json_object_get(message, "content"),
                 json_object_get(message, "structured_data"));
}

/* The element after the agent in the context's route; its first where the agent is not in it. */
static const char *from_route(const json_t *context, const struct component *agent)
{
    const json_t *route = json_object_get(context, "route");
    size_t n = json_array_size(route), at = 0;
    for (size_t i = 0; i < n; i++) {
        const char *who = json_string_value(json_array_get(route, i));
        if (who && registry_component_matches(agent, who))
            at = i + 1;
    }
    return at < n ? json_string_value(json_array_get(route, at)) : NULL;
}

static int denied(struct step *s, const struct component *next, const char *who)
{
    ((struct turn *)s->t)->core->total.transitions_denied++;
    log_warning("host.conversation", "transition_denied: %s to %s", shown(s->agent), who);
    CVM_TRY(cvm_note(s->t, "transition_denied",
                     json_pack("{s:s, s:s, s:b}", "from", shown(s->agent), "to", who, "loaded", next != NULL)));
    return finish(s, "denied", s->answer->data,
                  json_pack("{s:s, s:s, s:s}", "code", next ? "TRANSITION_DENIED" : "NOT_LOADED", "from",
                            shown(s->agent), "to", who));
}

static int handled(cvm_turn *pub, const cvm_msg *m)
{
    struct core *core = ((struct turn *)pub)->core;
    struct component *agent = registry_find(core, m->sender, NULL);
    struct step s = {.t = pub, .opener = m->on_behalf, .agent = agent, .answer = m};
    if (!agent)
        return finish(&s, "error", NULL, json_pack("{s:s}", "code", "NOT_FOUND"));
    if (m->outcome != CVM_REPLIED) {
        const char *code = cvm_json_str(m->data, "code", m->outcome == CVM_TIMEOUT ? "TIMEOUT" : "FAILED");
        return finish(&s, "error", NULL,
                      json_pack("{s:s, s:s, s:s}", "code", code, "message", cvm_json_str(m->data, "message", ""),
                                "agent", shown(agent)));
    }
    if (cvm_json_bool(m->data, "end", false))
        return finish(&s, "signal", m->data, NULL);
    const json_t *data = json_object_get(m->data, "structured_data");
    const char *who = cvm_json_str(m->data, "next", NULL);
    if (!who)
        who = from_route(turn_context(pub), agent);
    if (!who)
        return finish(&s, "route_end", m->data, NULL);
    struct component *next = resolve(core, agent, who, data);
    if (!next || !allowed(core, agent, next))
        return denied(&s, next, who);
    return begin(&s, next, json_object_get(m->data, "content"), data);
}

static int engine_turn(void *instance, cvm_turn *t, const cvm_msg *m, uint32_t route)
{
    static const cvm_handler handlers[] = {converse, handled};
    (void)instance;
    return handlers[route](t, m);
}

int engine_register(struct core *core)
{
    static struct manifest_operation operations[] = {{.type = "converse", .timeout_ms = 600000}};
    static struct manifest_component decl = {
        .id = "host.conversation", .kind = KIND_AGENT, .operations = operations, .n_operations = 1};
    static const char *const types[] = {"converse", "handle.reply", NULL};
    core->engine = registry_add_host(core, &decl, engine_turn, types);
    return core->engine ? redrive_register(core) : CVM_ENOMEM;
}
