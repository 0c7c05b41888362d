/* See figures.h. Owns the timer, which runs only where somebody is given figures, and for each of those components when
 * it is next and what is on its way. Loop thread. */
#include "services/figures.h"

#include "core/core.h"
#include "core/edge.h"
#include "core/json_text.h"
#include "core/log.h"
#include "core/registry.h"
#include "services/http_server.h"
#include "services/operation_counters.h"
#include <cvm/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TEXT_MAX_BYTES (16 * 1024 * 1024)
#define INTERVAL_MOST_S 86400
#define EXPORT "export"

struct target {
    char id[CVM_NAME_MAX + 1];
    struct figures *figures;
    int64_t interval_ms, due_ms; /* on the loop's clock */
    int64_t at_ms;               /* of the pages */
    json_t *pages;               /* on their way; NULL: none */
    size_t page;
    cvm_id request;
    bool seen, troubled;
};

struct figures {
    struct figures_options options;
    uv_timer_t timer;     /* to the next that is due */
    uv_prepare_t prepare; /* sees that settings or plugins are others now */
    int closing;          /* handles that are not closed yet */
    struct target targets[FIGURES_TARGETS_MAX];
    size_t n;
    int64_t start_ms;
    uint64_t facts; /* those that were looked at */
};

static int64_t wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- who gets them ---- */

static bool has_role(const json_t *component)
{
    const json_t *role;
    size_t i;
    json_array_foreach(json_object_get(component, "roles"), i,
                       role) if (json_is_string(role) && !strcmp(json_string_value(role), "telemetry")) return true;
    return false;
}

/* One whose operation would be journalled is not asked: every figure would be kept for months. */
static bool looks_only(const json_t *component)
{
    const json_t *operation;
    size_t i;
    json_array_foreach(json_object_get(component, "operations"), i,
                       operation) if (!strcmp(cvm_json_str(operation, "type", ""),
                                              EXPORT)) return !cvm_json_bool(operation, "durable", true);
    return false;
}

static void keep_target(struct figures *f, const char *id, int64_t interval_ms, int64_t now)
{
    struct target *t = NULL;
    for (size_t i = 0; i < f->n && !t; i++)
        t = strcmp(f->targets[i].id, id) ? NULL : &f->targets[i];
    if (!t && f->n == FIGURES_TARGETS_MAX)
        return;
    if (!t) {
        t = &f->targets[f->n++];
        *t = (struct target){.figures = f};
        snprintf(t->id, sizeof t->id, "%s", id);
    }
    if (t->interval_ms != interval_ms) /* the first after a whole interval: by then the host has something to tell */
        t->due_ms = now + interval_ms;
    t->interval_ms = interval_ms;
    t->seen = true;
}

/* Those that are gone keep their place: an answer may still come for them. */
static void look(struct figures *f, int64_t now)
{
    json_t *components = core_components(f->options.core), *one;
    size_t i;
    for (i = 0; i < f->n; i++)
        f->targets[i].seen = false;
    json_array_foreach(components, i, one)
    {
        const json_t *settings = json_object_get(one, "settings");
        int64_t interval = cvm_json_int(settings, "interval_s", 0);
        if (!has_role(one) || !looks_only(one) || interval < 1 || !*cvm_json_str(settings, "endpoint", ""))
            continue;
        keep_target(f, cvm_json_str(one, "id", ""), 1000 * (interval < INTERVAL_MOST_S ? interval : INTERVAL_MOST_S),
                    now);
    }
    for (i = 0; i < f->n; i++)
        if (!f->targets[i].seen)
            f->targets[i].interval_ms = 0;
    json_decref(components);
}

/* ---- giving them ---- */

static json_t *snapshot(struct figures *f)
{
    struct text text;
    size_t n = 0;
    const struct operation *operations = registry_operations(f->options.core, &n);
    char *core = core_metrics(f->options.core);
    text_init(&text, TEXT_MAX_BYTES);
    text_puts(&text, core ? core : "");
    operation_counters_print(f->options.counters, operations, n, &text);
    if (f->options.server)
        http_server_print_counts(f->options.server, &text);
    text_add(&text, "", 0);
    json_t *figures = text.failed ? NULL : figures_read(text.at);
    json_t *pages = figures ? figures_pages(figures, FIGURES_PAGE_POINTS) : NULL;
    json_decref(figures);
    text_free(&text);
    free(core);
    return pages;
}

static void over(struct target *t, bool exported, const char *why)
{
    struct core *core = t->figures->options.core;
    size_t left = json_array_size(t->pages) - t->page;
    core_count_figures(core, exported ? json_array_size(t->pages) : t->page, exported ? 0 : left);
    if (!exported && !t->troubled)
        log_warning(t->id, "figures are dropped: %s", why);
    else if (exported && t->troubled)
        log_info(t->id, "figures arrive again");
    t->troubled = !exported;
    json_decref(t->pages);
    t->pages = NULL;
}

static void send_page(struct target *t);

static void on_answer(void *arg, const struct edge_reply *reply)
{
    struct target *t = arg;
    bool exported = reply->outcome == CVM_REPLIED && cvm_json_bool(reply->data, "exported", false);
    int64_t wait_ms = 1000 * cvm_json_int(reply->data, "retry_after_s", 0);
    t->request = (cvm_id){0, 0};
    if (exported && ++t->page < json_array_size(t->pages)) {
        send_page(t);
        return;
    }
    if (!exported && wait_ms > 0 && wait_ms <= 1000 * INTERVAL_MOST_S) { /* they ask to be left alone */
        int64_t until = (int64_t)uv_now(t->figures->options.loop) + wait_ms;
        t->due_ms = until > t->due_ms ? until : t->due_ms;
    }
    char why[256];
    snprintf(why, sizeof why, "%.200s",
             cvm_json_str(reply->data, "reason", cvm_json_str(reply->data, "message", "no reason")));
    over(t, exported, why);
}

static void send_page(struct target *t)
{
    struct figures *f = t->figures;
    struct edge_error error = {0};
    json_t *data = json_pack("{s:I, s:I, s:i, s:i, s:O}", "at_ms", (json_int_t)t->at_ms, "start_ms",
                             (json_int_t)f->start_ms, "page", (int)t->page + 1, "pages", (int)json_array_size(t->pages),
                             "figures", json_array_get(t->pages, t->page));
    struct edge_in in = {.source = "host", .to = t->id, .type = EXPORT, .data = data, .priority = CVM_LOW};
    if (!data || edge_submit(f->options.core, &in, on_answer, t, &t->request, &error) < 0) {
        t->request = (cvm_id){0, 0};
        over(t, false, data ? error.text : "out of memory");
    }
}

static void give(struct target *t)
{
    struct figures *f = t->figures;
    if (t->pages) { /* those of before are still on their way: these are not taken at all */
        core_count_figures(f->options.core, 0, 1);
        return;
    }
    t->pages = snapshot(f);
    t->page = 0;
    t->at_ms = wall_ms();
    if (json_array_size(t->pages)) {
        send_page(t);
    } else { /* nothing is on its way */
        json_decref(t->pages);
        t->pages = NULL;
    }
}

static void on_due(uv_timer_t *timer);

/* An idle host is not woken for nothing. */
static void arm(struct figures *f, int64_t now)
{
    int64_t due = INT64_MAX;
    for (size_t i = 0; i < f->n; i++)
        if (f->targets[i].interval_ms && f->targets[i].due_ms < due)
            due = f->targets[i].due_ms;
    if (due == INT64_MAX)
        uv_timer_stop(&f->timer);
    else
        uv_timer_start(&f->timer, on_due, due > now ? (uint64_t)(due - now) : 0, 0);
}

static void on_due(uv_timer_t *timer)
{
    struct figures *f = timer->data;
    int64_t now = (int64_t)uv_now(f->options.loop);
    for (size_t i = 0; i < f->n; i++) {
        struct target *t = &f->targets[i];
        if (t->interval_ms && now >= t->due_ms) {
            t->due_ms = now + t->interval_ms;
            give(t);
        }
    }
    arm(f, now);
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct figures *f = prepare->data;
    uint64_t facts = core_facts(f->options.core);
    if (facts == f->facts)
        return;
    f->facts = facts;
    look(f, (int64_t)uv_now(f->options.loop));
    arm(f, (int64_t)uv_now(f->options.loop));
}

struct figures *figures_new(const struct figures_options *options)
{
    struct figures *f = calloc(1, sizeof *f);
    if (!f)
        return NULL;
    f->options = *options;
    f->start_ms = wall_ms();
    f->timer.data = f->prepare.data = f;
    uv_timer_init(options->loop, &f->timer); /* neither can fail */
    uv_prepare_init(options->loop, &f->prepare);
    uv_prepare_start(&f->prepare, on_prepare);
    uv_unref((uv_handle_t *)&f->prepare);
    return f;
}

static void on_closed(uv_handle_t *handle)
{
    struct figures *f = handle->data;
    if (--f->closing == 0)
        free(f);
}

void figures_stop(struct figures *f)
{
    if (!f)
        return;
    for (size_t i = 0; i < f->n; i++) {
        struct target *t = &f->targets[i];
        if (!cvm_id_is_none(t->request))
            edge_forget(f->options.core, t->request, t);
        json_decref(t->pages);
        t->pages = NULL;
    }
    f->closing = 2;
    uv_close((uv_handle_t *)&f->timer, on_closed);
    uv_close((uv_handle_t *)&f->prepare, on_closed);
}
