/* The plugin `learn`: what a policy would have earned, what customers are worth, which policy does more. Owns the
 * tables of routes and jobs; the work is in the jobs. Loop thread. */
#include "learn.h"

static int start(cvm_turn *t, const cvm_msg *m, const char *job)
{
    CVM_TRY(cvm_job_start(t, job, cvm_json_share(m->data), m->id, 0));
    return CVM_PENDING;
}

static int on_evaluate(cvm_turn *t, const cvm_msg *m)
{
    return start(t, m, "evaluate_log");
}

static int on_clv(cvm_turn *t, const cvm_msg *m)
{
    return start(t, m, "fit_clv");
}

static int on_compare(cvm_turn *t, const cvm_msg *m)
{
    return start(t, m, "compare_policies");
}

/* The answer of a job goes to who asked; what a person asked wrongly is a refusal. */
static int on_done(cvm_turn *t, const cvm_msg *m)
{
    static const char *const persons[] = {"FILE", "COLUMNS", "POLICY", "ROWS", "WORLD", "TOO_MANY"};
    const char *code = cvm_json_str(m->data, "code", "");
    bool refused = false;
    for (size_t i = 0; m->outcome == CVM_ERROR && i < sizeof persons / sizeof *persons; i++)
        refused |= strcmp(code, persons[i]) == 0;
    json_t *data = refused ? json_pack("{s:s, s:s}", "code", code, "message", cvm_json_str(m->data, "text", ""))
                           : cvm_json_share(m->data);
    int e = cvm_settle(t, m->on_behalf, refused ? CVM_REFUSED : m->outcome, data, NULL);
    return e == CVM_ENOENT ? CVM_OK : e;
}

static const cvm_component components[] = {{.id = LEARN_POLICY, .state_version = 1}, {0}};

static const cvm_route routes[] = {
    {LEARN_POLICY, "evaluate", on_evaluate},
    {LEARN_POLICY, "clv", on_clv},
    {LEARN_POLICY, "compare", on_compare},
    {LEARN_POLICY, "evaluate_log.reply", on_done},
    {LEARN_POLICY, "fit_clv.reply", on_done},
    {LEARN_POLICY, "compare_policies.reply", on_done},
    {0},
};

static const cvm_job_entry jobs[] = {
    {"evaluate_log", evaluate_job},
    {"fit_clv", clv_job},
    {"compare_policies", compare_job},
    {0},
};

CVM_PLUGIN(.name = "learn", .version = "1.0.0", .components = components, .routes = routes, .jobs = jobs);
