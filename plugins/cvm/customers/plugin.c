/* The plugin `customers`: the customers of a telecom operator, from files, tables and imports. Owns the tables of
 * components, routes and jobs; the work is in the files named in customers.h and jobs.h. Loop thread. */
#include "customers.h"
#include "jobs.h"

static const cvm_component components[] = {{.id = DATA, .state_version = 1},
                                           {.id = "cvm.source.offers", .state_version = 1},
                                           {.id = "cvm.source.recommender", .state_version = 1},
                                           {.id = "cvm.source.usage", .state_version = 1},
                                           {.id = "cvm.source.prices", .state_version = 1},
                                           {.id = "cvm.source.campaigns", .state_version = 1},
                                           {.id = "cvm.source.demographics", .state_version = 1},
                                           {.id = "cvm.source.network", .state_version = 1},
                                           {.id = "cvm.source.call_transcripts", .state_version = 1},
                                           {.id = "cvm.source.web_transcripts", .state_version = 1},
                                           {.id = "cvm.source.permissions", .state_version = 1},
                                           {0}};

/* clang-format off */
#define AGENT(id) \
    {id, "get_records", agent_get_records}, {id, "list_customer_ids", agent_list_ids}, \
    {id, "load.reply", agent_loaded}, {id, "query.reply", agent_rows}, {id, "page.reply", agent_page}

static const cvm_route routes[] = {
    {DATA, "start", data_start},
    {DATA, "watch", data_watch},
    {DATA, "load", data_load},
    {DATA, "load.reply", data_loaded},
    {DATA, "get_customer_data", data_get},
    {DATA, "show_customer", data_show},
    {DATA, "list_customers", data_list},
    {DATA, "list_sources", data_sources},
    {DATA, "clear_cache", data_clear_cache},
    {DATA, "query.reply", gather_rows},
    {DATA, "page.reply", data_page},
    {DATA, "build_journey.reply", data_journey},
    {DATA, "import", data_import},
    {DATA, "import.reply", data_imported},
    {DATA, "take_churn_scores", data_take_scores},
    {DATA, "scores.reply", data_imported},
    {DATA, "clear", data_clear},
    {DATA, "clear.reply", data_cleared},
    AGENT("cvm.source.offers"),
    AGENT("cvm.source.recommender"),
    AGENT("cvm.source.usage"),
    AGENT("cvm.source.prices"),
    AGENT("cvm.source.campaigns"),
    AGENT("cvm.source.demographics"),
    AGENT("cvm.source.network"),
    AGENT("cvm.source.call_transcripts"),
    AGENT("cvm.source.web_transcripts"),
    AGENT("cvm.source.permissions"),
    {0},
};
/* clang-format on */

static const cvm_job_entry jobs[] = {{"load", load_job}, {"import", import_job}, {"clear", clear_job},
                                     {"page", page_job}, {"scores", scores_job}, {0}};

static void destroy(void *instance)
{
    (void)instance;
    data_forget();
}

CVM_PLUGIN(.name = "customers", .version = "1.0.0", .components = components, .routes = routes, .jobs = jobs,
           .destroy = destroy);
