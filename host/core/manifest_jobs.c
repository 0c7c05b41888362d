/* The jobs of a manifest: which tables and files the long work of a plugin may touch. Loop thread. */
#include "core/manifest_parts.h"

#include <stdlib.h>
#include <string.h>

#define JOB_TIMEOUT_MS 600000

const struct manifest_job *manifest_find_job(const struct manifest *manifest, const char *name)
{
    for (size_t i = 0; i < manifest->n_jobs; i++)
        if (strcmp(manifest->jobs[i].name, name) == 0)
            return &manifest->jobs[i];
    return NULL;
}

/* Its answer comes as "<name>.reply", as that of a call and of a question do. */
static int check_name(struct reading *r, const char *field, const struct manifest_job *job)
{
    if (strcmp(job->name, "query") == 0)
        return manifest_wrong(r, field, "\"query\" is what answers of cvm_ask come as; choose another name");
    for (size_t i = 0; i < r->m->n_calls; i++)
        if (strcmp(r->m->calls[i].name, job->name) == 0)
            return manifest_wrong(r, field, "\"%s\" is a call of needs.hosts already", job->name);
    if (manifest_find_job(r->m, job->name) != job)
        return manifest_wrong(r, field, "\"%s\" is declared twice", job->name);
    return 0;
}

static int check_written(struct reading *r, const char *field, const struct manifest_job *job)
{
    for (size_t i = 0; i < job->writes.n; i++) {
        const struct manifest_table *table = NULL;
        for (size_t k = 0; k < r->m->n_tables; k++)
            if (strcmp(r->m->tables[k].name, job->writes.at[i]) == 0)
                table = &r->m->tables[k];
        if (!table || !table->bulk)
            return manifest_wrong(r, field, "must name tables of needs.tables with \"bulk\": true, got \"%s\"",
                                  job->writes.at[i]);
    }
    return 0;
}

static int read_job(struct reading *r, const json_t *json, size_t index)
{
    struct manifest_job *job = &r->m->jobs[index];
    struct field field;
    const json_t *timeout = json_object_get(json, "timeout_ms");
    job->name = json_string_value(json_object_get(json, "name"));
    job->files = json_is_true(json_object_get(json, "files"));
    job->timeout_ms = timeout ? (int64_t)json_number_value(timeout) : JOB_TIMEOUT_MS;
    CVM_TRY(check_name(r, manifest_field(&field, "jobs[%zu].name", index), job));
    manifest_field(&field, "jobs[%zu].reads", index);
    CVM_TRY(manifest_strings_make(r, json_object_get(json, "reads"), field.text, &job->reads));
    manifest_field(&field, "jobs[%zu].writes", index);
    CVM_TRY(manifest_strings_make(r, json_object_get(json, "writes"), field.text, &job->writes));
    return check_written(r, field.text, job);
}

int manifest_read_jobs(struct reading *r, const json_t *jobs)
{
    size_t n = json_array_size(jobs);
    if (n && (r->m->process || r->m->program))
        return manifest_wrong(r, "jobs", "a plugin with jobs runs inside the host: it can have no \"%s\"",
                              r->m->program ? "program" : "placement\": \"process");
    r->m->jobs = calloc(n + 1, sizeof *r->m->jobs);
    if (!r->m->jobs)
        return CVM_ENOMEM;
    for (size_t i = 0; i < n; i++) {
        r->m->n_jobs = i + 1;
        CVM_TRY(read_job(r, json_array_get(jobs, i), i));
    }
    return 0;
}
