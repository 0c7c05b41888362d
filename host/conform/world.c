/* The plugin in the real core under the virtual clock: opened over a home, given messages, time let pass. In a child.
 */
#include "conform/parts.h"

#include "core/internal.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SOURCE "check"
#define SENDER "check.sender"
#define STEPS_MAX 200000

static void fatal(void *arg, int exit_status, const char *text)
{
    struct world *w = arg;
    (void)exit_status;
    find(w->c, guard.check, "host", "", "", "the host had to end: %s", text);
    _exit(1);
}

int world_open(struct world *w, struct conform *c, const char *home, enum world_mode mode, int64_t begin_ms)
{
    char error[512] = "out of memory";
    *w = (struct world){.c = c, .mode = mode, .seen = json_object()};
    snprintf(w->home, sizeof w->home, "%s", home);
    struct core_options options = {.home = w->home,
                                   .runner = c->options.runner,
                                   .seed = c->options.seed | 1,
                                   .begin_ms = begin_ms,
                                   .send = outside_send,
                                   .send_arg = w,
                                   .around = guard_around,
                                   .fatal = fatal,
                                   .fatal_arg = w};
    guard.apart = c->process || c->manifest->program;
    snprintf(c->shared->where, sizeof c->shared->where, "the start of the plugin");
    c->shared->message[0] = 0;
    int e = outside_new(w);
    if (!e)
        e = config_load(home, NULL, &w->config, error, sizeof error);
    options.config = w->config;
    if (!e)
        e = core_open(&options, &w->core, error, sizeof error);
    if (!e)
        e = peers_add(w);
    if (!e)
        e = core_load(w->core, error, sizeof error);
    if (!e) {
        memory_patch(home);
        e = core_start(w->core, error, sizeof error);
    }
    if (e)
        find(c, guard.check, "start", "", "", "does not start: %s", error);
    else
        world_pass(w, 0);
    return e;
}

static const struct generation *generation_of(const struct world *w)
{
    for (const struct plugin *p = w->core ? w->core->plugins : NULL; p; p = p->next)
        if (strcmp(p->name, w->c->manifest->name) == 0)
            return p->now;
    return NULL;
}

const cvm_plugin_descriptor *world_descriptor(const struct world *w)
{
    const struct generation *g = generation_of(w);
    return g ? g->descriptor : NULL;
}

struct remote *world_remote(const struct world *w)
{
    const struct generation *g = generation_of(w);
    return g ? g->remote : NULL;
}

void world_close(struct world *w)
{
    snprintf(w->c->shared->where, sizeof w->c->shared->where, "the end of the plugin");
    core_close(w->core);
    config_free(w->config);
    outside_free(w);
    json_decref(w->seen);
    w->core = NULL;
    w->config = NULL;
    w->seen = NULL;
}

static void answered(void *arg, const struct edge_reply *reply)
{
    struct input *in = arg;
    in->n++;
    in->outcome = reply->outcome;
    json_decref(in->answer);
    in->answer = json_deep_copy(reply->data);
}

bool world_submit(struct world *w, struct input *in, char *ret_text, size_t text_size)
{
    struct edge_error error;
    json_t *data = in->forward ? json_pack("{s:s, s:s, s:O}", "to", in->component->id, "type", in->operation->type,
                                           "data", in->data)
                               : json_incref(in->data);
    struct edge_in edge = {.source = SOURCE,
                           .key = in->key,
                           .to = in->forward ? SENDER : in->component->id,
                           .type = in->forward ? "forward" : in->operation->type,
                           .data = data,
                           .conversation = in->conversation,
                           .timeout_ms = in->operation->timeout_ms,
                           .priority = -1};
    if (in->mutated)
        json_object_set_new(guard.odd, in->conversation, json_true());
    if (edge_submit(w->core, &edge, answered, in, NULL, &error) == 0)
        return true;
    snprintf(ret_text, text_size, "%s: %s", error.field, error.text);
    return false;
}

bool world_quiet(const struct world *w)
{
    return outside_next(w) == INT64_MAX;
}

void world_pass(struct world *w, int64_t ms)
{
    int64_t until = core_now_ms(w->core) + ms;
    for (int i = 0; i < STEPS_MAX; i++) {
        int64_t next = outside_next(w), now = core_now_ms(w->core);
        if (next <= now && outside_answer(w)) {
            core_step(w->core, now);
            continue;
        }
        core_step(w->core, now); /* what runs now may ask the outside, which answers before time goes on */
        next = outside_next(w);
        if (next <= now)
            continue;
        if (now >= until)
            return;
        /* From alarm to alarm: what one of them asks the outside is answered before the next one's time. */
        int64_t alarm = alarm_next(w->core);
        next = alarm < next && alarm > now ? alarm : next;
        core_step(w->core, next < until ? next : until);
    }
}
