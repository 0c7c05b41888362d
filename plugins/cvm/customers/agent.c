/* See customers.h: the agents of the single sources. Each answers for its table; before the first question cvm.data
 * loads the files. Loop thread. */
#include "customers.h"

#define RECORDS_MAX 1000

static const struct source *source_of(const cvm_msg *m)
{
    return source_of_component(m->recipient);
}

/* ---- records: the rows, then what was left out of the file ---- */

static int ask_rows(cvm_turn *t, cvm_id request, const struct source *s, const json_t *data)
{
    const char *id = cvm_json_str(data, "customer_id", NULL);
    json_t *where = s->kind ? json_pack("{s:s}", "kind", s->kind) : json_object();
    if (id && s->of_customers)
        json_object_set_new(where, "customer_id", json_string(id));
    return cvm_ask(t, &(cvm_query){.size = sizeof(cvm_query),
                                   .table = s->table,
                                   .where = where,
                                   .limit = cvm_json_int(data, "limit", RECORDS_MAX),
                                   .on_behalf = request,
                                   .with = json_pack("{s:s, s:s?}", "step", "rows", "customer_id", id)});
}

/* Who came by an import has permissions with the figures, not in the source's own table. */
static int ask_imported(cvm_turn *t, const cvm_msg *m)
{
    const char *id = cvm_json_str(json_object_get(m->data, "with"), "customer_id", "");
    return cvm_ask(t, &(cvm_query){.size = sizeof(cvm_query),
                                   .table = "cvm_customers",
                                   .where = json_pack("{s:s, s:s}", "customer_id", id, "origin", "import"),
                                   .limit = 1,
                                   .on_behalf = m->on_behalf,
                                   .with = json_pack("{s:s}", "step", "imported")});
}

static int go(cvm_turn *t, cvm_id request, const struct source *s, const char *as, const json_t *data)
{
    if (strcmp(as, "records") == 0)
        return ask_rows(t, request, s, data);
    return cvm_job_start(t, "page",
                         json_pack("{s:s, s:s, s:I}", "source", s->name, "after", cvm_json_str(data, "after", ""),
                                   "limit", (json_int_t)cvm_json_int(data, "limit", 5000)),
                         request, 0);
}

static int load_then(cvm_turn *t, const cvm_msg *m, const char *as)
{
    if (is_ready())
        CVM_TRY(go(t, m->id, source_of(m), as, m->data));
    else
        CVM_TRY(cvm_request(t, DATA, "load", json_pack("{s:{s:s, s:O}}", "with", "as", as, "data", m->data),
                            &(cvm_request_opts){.on_behalf = m->id}));
    return CVM_PENDING;
}

int agent_get_records(cvm_turn *t, const cvm_msg *m)
{
    if (source_of(m)->of_customers && !*cvm_json_str(m->data, "customer_id", ""))
        return answer_refused(t, m->id, "MISSING_FIELD", "customer_id", "this source is asked for one customer");
    return load_then(t, m, "records");
}

int agent_list_ids(cvm_turn *t, const cvm_msg *m)
{
    return load_then(t, m, "ids");
}

int agent_loaded(cvm_turn *t, const cvm_msg *m)
{
    const json_t *with = json_object_get(m->data, "with");
    if (m->outcome != CVM_REPLIED)
        return answer_failed(t, m->on_behalf, m);
    return go(t, m->on_behalf, source_of(m), cvm_json_str(with, "as", ""), json_object_get(with, "data"));
}

int agent_rows(cvm_turn *t, const cvm_msg *m)
{
    const struct source *s = source_of(m);
    const json_t *with = json_object_get(m->data, "with"), *rows = json_object_get(m->data, "rows");
    if (m->outcome != CVM_REPLIED)
        return answer_failed(t, m->on_behalf, m);
    const char *step = cvm_json_str(with, "step", "");
    if (strcmp(step, "rows") == 0 && s == &sources[SOURCE_PERMISSIONS] && json_array_size(rows) == 0)
        return ask_imported(t, m);
    if (strcmp(step, "warnings") != 0)
        return cvm_ask(
            t, &(cvm_query){.size = sizeof(cvm_query),
                            .table = "cvm_sources",
                            .where = json_pack("{s:s}", "source", s->name),
                            .limit = 1,
                            .on_behalf = m->on_behalf,
                            .with = json_pack("{s:s, s:o, s:O}", "step", "warnings", "records", gather_records(s, rows),
                                              "more", json_object_get(m->data, "more"))});
    return answer(t, m->on_behalf,
                  json_pack("{s:O, s:O, s:o}", "records", json_object_get(with, "records"), "more",
                            json_object_get(with, "more"), "warnings", gather_warnings(s, rows)));
}

int agent_page(cvm_turn *t, const cvm_msg *m)
{
    if (m->outcome != CVM_REPLIED)
        return answer_failed(t, m->on_behalf, m);
    return answer(t, m->on_behalf,
                  json_pack("{s:O, s:O, s:O*}", "customer_ids", json_object_get(m->data, "customer_ids"), "more",
                            json_object_get(m->data, "more"), "next", json_object_get(m->data, "next")));
}
