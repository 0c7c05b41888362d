/* The same messages inside the host and in a process of the plugin's own, and with that process ended in the middle of
 * turns: each must give the same journal. A program is only compared with itself, left alone. Parent. */
#include "conform/parts.h"

#include <cvm/json.h>
#include <string.h>

#define MESSAGES_MAX 300

/* False: it failed by itself, which is told. */
static bool run_once(struct conform *c, struct messages *run, int *ret_killed)
{
    char text[300];
    json_t *facts = NULL, *fact;
    size_t i;
    if (plan_home(c, c->library, run->home) < 0)
        return false;
    enum child_end end = child_run(c, messages_run, run, &facts, text, sizeof text);
    json_array_foreach(facts, i, fact) if (strcmp(cvm_json_str(fact, "kind", ""), "ran") == 0) *ret_killed =
        (int)cvm_json_int(fact, "killed", 0);
    if (end != CHILD_DONE)
        report_finding(c, "process", end == CHILD_HANGS ? "hang" : "crash", c->shared->where, text, c->shared->message);
    json_decref(facts);
    return end == CHILD_DONE;
}

static bool has_start(const struct conform *c)
{
    size_t i;
    json_t *route;
    json_array_foreach(c->routes, i, route) if (strcmp(cvm_json_str(route, "type", ""), "start") == 0) return true;
    return false;
}

static void compare(struct conform *c, const struct messages *twin, const struct messages *run, const char *remedy)
{
    if (messages_compare(c, "process", remedy, twin->home, run->home) < 0)
        report(c, "process", RESULT_SKIPPED, "the journal could not be read");
}

void check_process(struct conform *c)
{
    const bool program = c->manifest->program != NULL, kills = !has_start(c);
    int killed = 0, count = c->options.messages < MESSAGES_MAX ? c->options.messages : MESSAGES_MAX;
    struct messages twin = {.count = count, .quiet = true}, moved = twin, ended = twin;
    ended.kills = true;
    if (!operations_count(c)) {
        report(c, "process", RESULT_SKIPPED, "the plugin has no operation to send to");
        return;
    }
    if (c->manifest->n_jobs) {
        report(c, "process", RESULT_SKIPPED, "a plugin with jobs runs inside the host only");
        return;
    }
    if (!wanted(c, "messages"))
        messages_survey(c);
    c->shared->of = count;
    twin.skip = json_object();
    moved.skip = ended.skip = twin.skip;
    bool good = run_once(c, &twin, &killed);
    c->process = true;
    if (good && !program && (good = run_once(c, &moved, &killed)))
        compare(c, &twin, &moved, "a process of its own must make no difference: it keeps something outside its state");
    if (good && kills && (good = run_once(c, &ended, &killed)))
        compare(c, &twin, &ended,
                "its process was ended in the middle of a turn: what must survive belongs into state, context or rows");
    c->process = false;
    c->shared->of = 0;
    if (good && kills)
        report(c, "process", RESULT_OK,
               "%s of %d messages, also with its process ended %d times in the middle of turns",
               program ? "the same journal" : "in a process of its own the same journal", count, killed);
    else if (good)
        report(c, "process", program ? RESULT_SKIPPED : RESULT_OK,
               program ? "not ended in the middle of turns, as a new process would get its start there"
                       : "in a process of its own the same journal of %d messages",
               count);
    json_decref(twin.skip);
    plan_remove(twin.home);
    if (!program)
        plan_remove(moved.home);
    if (kills)
        plan_remove(ended.home);
}
