/* Answers what operators ask of the journal in the long run: "journal.prune" {"dry_run", "before_ms"}, "journal.stats",
 * "backup". The first and last answer when it is done. Loop thread. */
#include "services/control_private.h"

#include "core/log.h"

static void finished(void *arg, int error, json_t *report)
{
    struct exchange *x = arg;
    if (!control__resume(x)) {
        json_decref(report);
    } else if (error < 0) {
        control__fail(x, error, "", "%s", cvm_json_str(report, "text", "the host is stopping"));
        json_decref(report);
    } else {
        control__answer(x, report);
    }
}

static void refused(struct exchange *x, int error, const char *busy)
{
    if (!control__resume(x))
        return;
    if (error == CVM_EBUSY)
        control__fail(x, error, "", "%s", busy);
    else if (error == CVM_EINVAL)
        control__fail(x, error, "before_ms", "is in the future");
    else
        control__fail(x, error, "", "%s", cvm_strerror(error));
}

static void prune(struct exchange *x, const json_t *request)
{
    const json_t *before = json_object_get(request, "before_ms"), *dry = json_object_get(request, "dry_run");
    if ((before && (!json_is_integer(before) || json_integer_value(before) <= 0)) || (dry && !json_is_boolean(dry))) {
        control__fail(x, CVM_EINVAL, before ? "before_ms" : "dry_run",
                      "before_ms: expected milliseconds since 1970; dry_run: true or false");
        return;
    }
    if (!json_is_true(dry))
        log_info("control", "journal prune asked for");
    control__suspend(x);
    int e = core_prune(x->core, json_is_true(dry), (int64_t)json_integer_value(before), finished, x);
    if (e < 0)
        refused(x, e, "another prune is under way; try again when it is over");
}

static void backup(struct exchange *x)
{
    log_info("control", "backup asked for");
    control__suspend(x);
    int e = core_backup(x->core, finished, x);
    if (e < 0)
        refused(x, e, "another backup is being made; try again when it is over");
}

static void stats_found(struct exchange *x, void *arg, json_t *rows, bool more)
{
    (void)arg, (void)more;
    json_t *stats = json_incref(json_array_get(rows, 0)), *keeping = core_keeping(x->core);
    json_decref(rows);
    json_object_update(stats, keeping);
    json_decref(keeping);
    control__answer(x, stats ? stats : json_object());
}

/* Turns are counted by their numbers: to read all of them would take as long as they are many. */
static void stats(struct exchange *x)
{
    static const char sql[] =
        "SELECT (SELECT coalesce(max(seq) - min(seq) + 1, 0) FROM turns) -"
        " (SELECT count(*) FROM audit_stubs WHERE seq > (SELECT min(seq) FROM turns)) AS turns,"
        " (SELECT at_ms FROM turns ORDER BY seq LIMIT 1) AS oldest_ms,"
        " (SELECT count(*) FROM contexts) AS conversations, (SELECT count(*) FROM folded) AS folded,"
        " (SELECT coalesce(sum(turns), 0) FROM folded) AS folded_turns, (SELECT count(*) FROM state) AS state_values,"
        " (SELECT count(*) FROM open_items) AS open, (SELECT count(*) FROM inbox) AS keys,"
        " (SELECT count(*) FROM dead_letters) AS dead_letters,"
        " (SELECT page_count FROM pragma_page_count) * (SELECT page_size FROM pragma_page_size) AS bytes,"
        " (SELECT freelist_count FROM pragma_freelist_count) * (SELECT page_size FROM pragma_page_size) AS free_bytes";
    control__query(x, sql, NULL, 1, stats_found, NULL, NULL);
}

void control__keep(struct exchange *x, const char *what, const json_t *request)
{
    if (strcmp(what, "journal.prune") == 0)
        prune(x, request);
    else if (strcmp(what, "backup") == 0)
        backup(x);
    else
        stats(x);
}
